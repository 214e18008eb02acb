import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from harmbench.cohorts.phantom.scanner import SCANNERS
from harmbench.cohorts.phantom.scanning import NOISE_FREE, REPEAT, scan_subject
from harmbench.cohorts.phantom.source import Phantom, split_of
from harmbench.cohorts.phantom.subject import AGES
from harmbench.data.cohort import Cohort
from harmbench.data.folds import for_fold
from harmbench.data.scans import Grid
from harmbench.errors import UserError
from harmbench.plugins import Registry
from harmbench.util.progress import Silent
from helpers.one_core import on_one_core

SOURCES = ("domain1", "domain2", "domain3", "domain4")


@pytest.fixture(scope="module")
def block() -> Grid:
    """The middle of the brain, coarse in plane: renders in half of the time of a slab."""
    return Grid("block", (4, 24, 28), (1.2, 4.8, 4.8))


@pytest.fixture(scope="module")
def six(block, tmp_path_factory) -> Cohort:
    """Six subjects, prepared in this process."""
    home = tmp_path_factory.mktemp("six")
    with on_one_core():
        return Cohort.open(Phantom("6"), block, home, Silent())


@pytest.mark.slow  # workers of any work, on one thread, are tested in util/test_processes.py
def test_prepared_in_processes_or_not_the_scans_are_the_same_bits(six, block, tmp_path):
    other = Cohort.open(Phantom("6"), block, tmp_path, Silent())
    assert other.key == six.key
    for domain in (*SCANNERS, REPEAT, NOISE_FREE):
        assert other.scans(domain).digest == six.scans(domain).digest


@pytest.mark.usefixtures("one_thread")
def test_the_scans_of_a_cohort_are_those_of_its_subjects(six, template, block):
    for name in ("P00001", "T00002"):
        domains = (*SCANNERS, REPEAT, NOISE_FREE)
        scans = scan_subject(name, template, block, domains=domains)
        for domain in domains:
            stored = six.scans(domain)
            stored = stored.load([stored.subjects.index(name)])
            assert torch.equal(stored.images[0], scans.images[domain])
            assert stored.labels is not None
            assert torch.equal(stored.labels[0], scans.labels)
            assert torch.equal(stored.masks[0], scans.masks[domain])


def test_half_of_the_subjects_are_for_testing_and_no_split_depends_on_the_number(six):
    splits = six.table.groupby("subject")["split"].unique()
    assert {name: list(values) for name, values in splits.items()} == {
        "P00001": ["train"],
        "P00002": ["train"],
        "P00003": ["validation"],
        "T00001": ["test"],
        "T00002": ["test"],
        "T00003": ["test"],
    }
    for number in (4, 7, 40, 41):
        phantom = Phantom(str(number))
        assert len(phantom.subjects) == number
        splits = [split_of(name) for name in phantom.subjects]
        assert splits.count("test") == number // 2
        assert splits.count("train") >= 2
        assert {*Phantom("4").subjects} <= {*phantom.subjects}
    counts = [split_of(name) for name in Phantom().subjects]
    assert {split: counts.count(split) for split in counts} == {
        "train": 16,
        "validation": 4,
        "test": 20,
    }


def test_subjects_are_scanned_on_the_target_twice_and_without_noise(six):
    test = six.scans("target")
    for fact, session in (("repeat", "2"), ("noise_free", "1")):
        again = six.scans(six.facts[fact])
        assert again.subjects == test.subjects
        assert six.facts[fact] not in six.sources
        assert {scan.session for scan in again.scans} == {session}
        assert {scan.key for scan in again.scans}.isdisjoint(scan.key for scan in test.scans)
        for index in range(len(test)):
            first, second = (scans.load([index]) for scans in (test, again))
            assert torch.equal(first.labels, second.labels)
            assert not torch.equal(first.images, second.images)


@pytest.mark.usefixtures("one_core")
def test_adding_subjects_changes_none(six, block, tmp_path):
    four = Cohort.open(Phantom("4"), block, tmp_path, Silent())
    for domain in SCANNERS:
        few, many = four.scans(domain), six.scans(domain)
        for scan in few.scans:
            rows = [scans.subjects.index(scan.subject) for scans in (few, many)]
            assert few.scans[rows[0]] == many.scans[rows[1]]
            assert torch.equal(few.load(rows[:1]).images, many.load(rows[1:]).images)
    assert four.key != six.key


def test_cohort_is_paired_and_labelled(six):
    assert six.kind == "phantom"
    assert six.target == "target"
    assert six.sources == SOURCES
    assert tuple(Registry.discover().entry("cohorts", "phantom").lazy.sources) == SOURCES
    assert len(six.table) == 6 * (5 + 2)  # with a rescan and a scan without noise
    assert six.table["paired"].all()
    assert six.table["labelled"].all()
    assert six.table["key"].is_unique
    assert six.table["age"].between(*AGES).all()
    pairs = six.pairs("domain2", "train")
    assert pairs is not None
    assert pairs[0].subjects == pairs[1].subjects == ("P00001", "P00002")


@pytest.mark.usefixtures("one_core")
def test_a_confounded_cohort_scans_training_subjects_on_one_side_by_age(block, tmp_path):
    phantom = Phantom("12-confounded")
    assert phantom.title == "phantom:12-confounded"
    cohort = Cohort.open(phantom, block, tmp_path, Silent())
    train = cohort.table[cohort.table["split"] == "train"]
    ages = {
        domain: [detail["subject"]["age"] for detail in rows["details"]]
        for domain, rows in train.groupby("domain")
    }
    for source in SOURCES:
        assert np.mean(ages[source]) < np.mean(ages["target"]) - 10
        assert cohort.pairs(source, "train") is None
        pairs = cohort.pairs(source, "test")
        assert pairs is not None
        assert len(pairs[0]) == 6
    with pytest.raises(UserError, match="has no folds: only its training subjects are confounded"):
        for_fold(cohort, 1, 3)
    plain = Phantom("12")
    assert plain.key(block, tmp_path) != phantom.key(block, tmp_path)


@pytest.mark.parametrize(
    "argument",
    ["", "3", "0", "-3", "2.5", "abc", "10001", "9" * 5000, "²", "8-", "8-other", "-confounded"],
)
def test_a_bad_number_of_subjects_is_one_clear_line(argument):
    with pytest.raises(UserError, match="whole number from 4 to 10000") as caught:
        Phantom(argument)
    assert "\n" not in str(caught.value)


def test_a_confounded_cohort_that_is_too_small_is_refused():
    with pytest.raises(UserError, match="training subjects on the target's scanner"):
        Phantom("4-confounded")


def test_a_recipe_is_refused():
    with pytest.raises(UserError, match=r"no recipe.*oasis3\.toml"):
        Phantom(None, Path("oasis3.toml"))


def test_default_is_forty_subjects():
    assert Phantom().subjects == Phantom("40").subjects
    assert Phantom().title == Phantom("40").title == "phantom"
    assert Phantom("8").title == "phantom:8"


def test_key_follows_subjects_grid_scanners_and_anatomy(monkeypatch, block, tmp_path):
    from harmbench.cohorts.phantom import source

    key = Phantom().key(block, tmp_path)
    assert key == Phantom("40").key(block, tmp_path)
    others = {
        Phantom("41").key(block, tmp_path),
        Phantom().key(Grid("block", (4, 24, 28), (2.4, 4.8, 4.8)), tmp_path),
    }
    monkeypatch.setitem(SCANNERS, "domain1", SCANNERS["domain3"])
    others.add(Phantom().key(block, tmp_path))
    monkeypatch.setattr(source, "template_key", lambda: "other maps")
    others.add(Phantom().key(block, tmp_path))
    assert key not in others
    assert len(others) == 4


def test_the_key_does_not_import_nilearn():
    code = (
        "import pathlib, sys; from harmbench.cohorts.phantom.source import Phantom;"
        "from harmbench.data.scans import GRIDS;"
        "Phantom().key(GRIDS['quick'], pathlib.Path()); sys.exit('nilearn' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
