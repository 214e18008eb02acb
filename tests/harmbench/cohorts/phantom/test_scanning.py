import json
import math

import numpy as np
import pytest
import torch

from harmbench.cohorts.phantom.scanner import SCANNERS
from harmbench.cohorts.phantom.scanning import NOISE_FREE, REPEAT, scan_subject

ALL = (*SCANNERS, REPEAT, NOISE_FREE)
SOURCES = [domain for domain in SCANNERS if domain != "target"]


@pytest.fixture(scope="module")
def scans(template, tiny):
    return {name: scan_subject(name, template, tiny, domains=ALL) for name in ("P00001", "T00001")}


def test_images_fill_the_unit_range_and_follow_their_own_mask(scans):
    for each in scans.values():
        assert set(each.labels.unique().tolist()) == {0, 1, 2, 3}
        assert each.images.keys() == each.masks.keys() == each.details.keys() == {*ALL}
        for domain, image in each.images.items():
            mask = each.masks[domain]
            assert image.dtype == torch.float32
            assert (image[~mask] == 0).all()
            assert (image[mask] > 0).float().mean() > 0.99
            assert torch.equal(image.amax((1, 2)), torch.ones(6))


def test_masks_are_imperfect_and_differ_between_scanners(scans):
    for each in scans.values():
        brain = each.labels > 0
        areas = []
        for domain in SCANNERS:
            mask = each.masks[domain]
            overlap = 2 * (mask & brain).sum() / (mask.sum() + brain.sum())
            assert 0.9 < overlap < 1
            areas.append(int(mask.sum()))
        assert len(set(areas)) == len(areas)
        # The site of domain3 leaves the most on, that of domain2 cuts the most off.
        assert max(areas) == int(each.masks["domain3"].sum())
        assert min(areas) == int(each.masks["domain2"].sum())


def test_a_rescan_differs_from_the_first_scan_by_less_than_another_scanner(scans):
    for each in scans.values():
        inside = torch.stack([each.masks[domain] for domain in ALL]).all(0)
        first = each.images["target"][inside]
        gap = (each.images[REPEAT][inside] - first).abs().mean()
        assert gap > 0
        assert not torch.equal(each.masks[REPEAT], each.masks["target"])
        others = [(each.images[domain][inside] - first).abs().mean() for domain in SOURCES]
        assert gap < max(others)


def test_the_noise_free_scan_is_the_first_session_without_noise(scans):
    for each in scans.values():
        assert torch.equal(each.masks[NOISE_FREE], each.masks["target"])
        assert each.details[NOISE_FREE] == each.details["target"]
        assert each.details[REPEAT] != each.details["target"]
        inside = each.masks["target"] & each.masks[REPEAT]
        images = [each.images[domain][inside].numpy() for domain in (NOISE_FREE, "target", REPEAT)]
        assert np.corrcoef(images)[0, 1] > np.corrcoef(images)[1, 2]


def test_further_domains_change_nothing(template, tiny, scans):
    alone = scan_subject("T00001", template, tiny, domains=("domain1",))
    assert torch.equal(alone.labels, scans["T00001"].labels)
    assert torch.equal(alone.images["domain1"], scans["T00001"].images["domain1"])


def test_subjects_differ_and_so_do_scanners(scans):
    first, second = (each.images for each in scans.values())
    assert (first["target"] - second["target"]).abs().mean() > 0.02
    for domain in SOURCES:
        error = ((first[domain] - first["target"]) ** 2).mean()
        assert 15 < -10 * math.log10(error) < 35


def test_white_matter_is_brighter_than_grey_and_grey_than_csf(scans):
    for each in scans.values():
        for domain, image in each.images.items():
            inside = each.masks[domain]
            csf, grey, white = (
                float(image[inside & (each.labels == value)].mean()) for value in (1, 2, 3)
            )
            assert csf < 0.8 * grey
            assert grey < 0.9 * white


def test_details_tell_age_lesions_and_the_scanner(scans):
    details = scans["P00001"].details["target"]
    assert json.loads(json.dumps(details)) == details
    assert details["scanner"]["ManufacturersModelName"] == "TIM Trio"
    assert 20 <= details["subject"]["age"] <= 90
    assert details["subject"]["lesion_ml_on_grid"] >= 0
    assert details["subject"]["lesions_deep"] >= 0


def test_lesions_are_labelled_white_matter_and_are_darker(template, head):
    """Of an old subject: where its lesions are, the label is white matter."""
    from harmbench.cohorts.phantom.anatomy import build_anatomy
    from harmbench.cohorts.phantom.lattice import Lattice
    from harmbench.cohorts.phantom.subject import draw_subject
    from harmbench.data.scans import Grid

    subject = max((draw_subject(f"P{i:05d}") for i in range(1, 21)), key=lambda s: len(s.lesions))
    name = next(
        n for n in (f"P{i:05d}" for i in range(1, 21)) if draw_subject(n).age == subject.age
    )
    grid = Grid("slab", (30, 72, 88), (1.2, 2.4, 2.4))
    lattice = Lattice.of(grid)
    lesion = lattice.to_grid(build_anatomy(subject, template, lattice).fractions[3])
    scans = scan_subject(name, template, grid, domains=(NOISE_FREE,))
    inside = (lesion > 0.8) & scans.masks[NOISE_FREE]
    assert inside.sum() > 10
    assert (scans.labels[inside] == 3).all()
    image = scans.images[NOISE_FREE]
    white = (scans.labels == 3) & (lesion < 0.01)
    assert image[inside].mean() < 0.9 * image[white].mean()
    assert scans.details[NOISE_FREE]["subject"]["lesion_ml_on_grid"] > 0.1
