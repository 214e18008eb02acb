import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from harmbench.cohorts.phantom import scanner as scanners
from harmbench.cohorts.phantom.anatomy import Anatomy, Lattice, Template, load_template
from harmbench.cohorts.phantom.scanner import SCANNERS, draw_acquisition, render
from harmbench.cohorts.phantom.source import Phantom, scan_subject
from harmbench.data.cohort import Cohort
from harmbench.data.scans import Grid
from harmbench.errors import UserError
from harmbench.util.progress import Silent

TINY = Grid("tiny", (6, 36, 44), (1.2, 4.8, 4.8))


@pytest.fixture(scope="module")
def template() -> Template:
    return load_template()


@pytest.fixture(scope="module")
def scans(template):
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as the workers do: sums over threads differ in their last bits
    yield {name: scan_subject(name, template, TINY) for name in ("P00001", "P00002")}
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def six(tmp_path_factory) -> Cohort:
    """Six subjects: enough for two worker processes."""
    home = tmp_path_factory.mktemp("six")
    return Cohort.open(Phantom("6"), TINY, home, Silent())


def test_prepared_in_processes_or_not_the_scans_are_the_same_bits(six, scans):
    for domain in SCANNERS:
        everybody = six.scans(domain)
        for name, (labels, images, _) in scans.items():
            stored = everybody.load([everybody.subjects.index(name)])
            assert torch.equal(stored.images[0], images[domain])
            assert stored.labels is not None
            assert torch.equal(stored.labels[0], labels)
            assert torch.equal(stored.masks[0], labels > 0)


def test_test_subjects_are_scanned_on_the_target_twice_and_nothing_else_changes(six, template):
    again = six.scans(six.facts["repeat"])
    test = six.scans("target", "test")
    assert again.subjects == test.subjects
    assert six.facts["repeat"] not in six.sources
    assert {scan.session for scan in again.scans} == {"2"}
    for place, name in enumerate(again.subjects):
        first, second = (scans.load([place]) for scans in (test, again))
        assert torch.equal(first.labels, second.labels)
        inside = first.masks & second.masks
        assert torch.equal(first.masks, second.masks)
        gap = (first.images - second.images)[inside].abs().mean()
        other = six.scans("domain2").load([six.scans("domain2").subjects.index(name)])
        assert 0 < gap < (first.images - other.images)[inside].abs().mean()
    _, alone, _ = scan_subject(again.subjects[0], template, TINY)
    _, twice, details = scan_subject(again.subjects[0], template, TINY, repeat=True)
    assert twice.keys() - alone.keys() == details.keys() - alone.keys() == {"target-repeat"}
    assert all(torch.equal(alone[domain], twice[domain]) for domain in alone)


def test_adding_subjects_changes_nobody(six, tmp_path):
    two = Cohort.open(Phantom("2"), TINY, tmp_path, Silent())
    for domain in SCANNERS:
        few, many = two.scans(domain), six.scans(domain)
        for scan in few.scans:
            places = [scans.subjects.index(scan.subject) for scans in (few, many)]
            assert few.scans[places[0]] == many.scans[places[1]]
            assert torch.equal(few.load(places[:1]).images, many.load(places[1:]).images)
    assert two.key != six.key


def test_cohort_is_paired_labelled_and_split_by_subject(six):
    assert six.kind == "phantom"
    assert six.target == "target"
    assert six.sources == ("domain1", "domain2", "domain3", "domain4")
    assert len(six.table) == 30 + 2  # of whom two are scanned again
    assert six.table["paired"].all()
    assert six.table["labelled"].all()
    assert six.table["key"].is_unique
    assert (six.table.groupby("subject")["split"].nunique() == 1).all()
    pairs = six.pairs("domain2", "train")
    assert pairs is not None
    assert pairs[0].subjects == pairs[1].subjects
    detail = six.table.iloc[0]["details"]
    assert json.loads(json.dumps(detail)) == detail
    assert detail["scanner"]["ManufacturersModelName"] == "TIM Trio"
    assert 42 <= detail["subject"]["age"] <= 95


def test_images_fill_the_unit_range_and_the_background_is_exactly_zero(scans):
    for labels, images, _ in scans.values():
        assert set(labels.unique().tolist()) == {0, 1, 2, 3}
        for image in images.values():
            assert image.dtype == torch.float32
            assert (image[labels == 0] == 0).all()
            assert (image[labels > 0] > 0).float().mean() > 0.999
            assert torch.equal(image.amax((1, 2)), torch.ones(6))


def test_subjects_differ_and_so_do_scanners(scans):
    first, second = (images for _, images, _ in scans.values())
    assert (first["target"] - second["target"]).abs().mean() > 0.02
    for domain in ("domain1", "domain2", "domain3", "domain4"):
        error = ((first[domain] - first["target"]) ** 2).mean()
        assert 15 < -10 * math.log10(error) < 35


def test_no_curve_undoes_the_gap(scans):
    """The best of all curves per scan, the mean target at each source level, leaves much."""
    for labels, images, _ in scans.values():
        brain = labels > 0
        target = images["target"][brain].numpy()
        for domain in ("domain1", "domain2", "domain3", "domain4"):
            source = images[domain][brain].numpy()
            level = np.digitize(source, np.linspace(0, 1, 65))
            curve = np.bincount(level, target) / np.maximum(np.bincount(level), 1)
            assert np.sqrt(np.mean((curve[level] - target) ** 2)) > 0.02


def test_white_matter_is_brighter_than_grey_and_grey_than_csf(scans):
    for labels, images, _ in scans.values():
        for image in images.values():
            csf, grey, white = (float(image[labels == value].mean()) for value in (1, 2, 3))
            assert csf < 0.8 * grey
            assert grey < 0.85 * white


def uniform(lattice: Lattice, tissue: int) -> Anatomy:
    fractions = torch.zeros(3, *lattice.shape)
    fractions[tissue] = 1
    ones = torch.ones(lattice.shape)
    return Anatomy(fractions, ones, torch.ones(2, *lattice.shape), ones)


@pytest.mark.parametrize("domain", ["target", "domain2"])
def test_noise_is_rician_and_of_the_level_asked_for(domain):
    """Of a uniform head without fields, high signal: the spread is the level drawn."""
    from dataclasses import replace

    lattice = Lattice.of(Grid("block", (16, 40, 40), (1.2, 1.2, 1.2)))
    drawn = draw_acquisition(0, "P00001", domain)
    flat = replace(
        drawn,
        b1=1.0,
        transmit=0.0,
        surface=0.0,
        tilt=(0.0, 0.0, 0.0),
        fields=scanners.SmoothField(np.zeros_like(drawn.fields.coefficients), 50.0),
    )
    image = lattice.to_grid(render(uniform(lattice, 2), SCANNERS[domain], flat, lattice))
    assert float(image.std() / image.mean()) == pytest.approx(flat.noise, rel=0.05)
    # Where there is no signal, magnitude noise is Rayleigh: its mean is 1.25 of the level.
    empty = uniform(lattice, 2)
    empty.fractions.zero_()
    noise = lattice.to_grid(render(empty, SCANNERS[domain], flat, lattice))
    level = flat.noise * float(image.mean())
    assert float(noise.mean()) == pytest.approx(math.sqrt(math.pi / 2) * level, rel=0.05)


def test_three_tesla_brightens_the_centre_and_blur_follows_the_voxel():
    lattice = Lattice.of(Grid("head", (3, 100, 130), (1.2, 1.2, 1.2)))
    brightening = {}
    for domain in ("target", "domain2"):
        b1, _ = scanners._fields(draw_acquisition(0, "P00001", domain), lattice)
        brightening[domain] = float(b1[2, 50, 65] / b1[2, 5, 65])
    assert brightening["target"] > 1.1
    assert abs(brightening["domain2"] - 1) < 0.1

    point = torch.zeros(lattice.shape)
    point[3, 50, 65] = 1
    acquisition = draw_acquisition(0, "P00001", "domain2")
    scanner = SCANNERS["domain2"]
    scanners._blur(point, scanner, acquisition, lattice)
    assert point.sum() == pytest.approx(1, abs=1e-5)
    place = 1.2 * (torch.arange(lattice.shape[1]) - 50)
    variance = float((point.sum((0, 2)) * place**2).sum())
    width = scanner.voxel[0] ** 2 + acquisition.smear**2
    assert variance == pytest.approx(width / (8 * math.log(2)), rel=1e-3)


@pytest.mark.parametrize("argument", ["", "1", "0", "-3", "2.5", "abc", "10001", "9" * 5000, "²"])
def test_a_bad_number_of_subjects_is_one_clear_line(argument):
    with pytest.raises(UserError, match="whole number from 2 to 10000") as caught:
        Phantom(argument)
    assert "\n" not in str(caught.value)


def test_a_recipe_is_refused():
    with pytest.raises(UserError, match=r"no recipe.*oasis3\.toml"):
        Phantom(None, Path("oasis3.toml"))


def test_default_is_twenty_subjects():
    assert len(Phantom().subjects) == 20
    assert Phantom().subjects == Phantom("20").subjects
    assert Phantom("30").subjects[:20] == Phantom().subjects


def test_key_follows_subjects_grid_and_scanners(tmp_path, monkeypatch):
    key = Phantom().key(TINY, tmp_path)
    other_grid = Grid("tiny", (6, 36, 44), (2.4, 4.8, 4.8))
    assert key == Phantom("20").key(TINY, tmp_path)
    others = {Phantom("21").key(TINY, tmp_path), Phantom().key(other_grid, tmp_path)}
    monkeypatch.setitem(SCANNERS, "domain1", SCANNERS["domain3"])
    others.add(Phantom().key(TINY, tmp_path))
    assert key not in others
    assert len(others) == 3


def test_the_key_does_not_import_nilearn():
    code = (
        "import pathlib, sys; from harmbench.cohorts.phantom.source import Phantom;"
        "from harmbench.data.scans import GRIDS;"
        "Phantom().key(GRIDS['quick'], pathlib.Path()); sys.exit('nilearn' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
