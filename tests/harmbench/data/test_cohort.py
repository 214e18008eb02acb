"""Cohorts: the split by subject, and the scans that have labels."""

from __future__ import annotations

import json

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from harmbench.data.cohort import Cohort
from harmbench.data.disjoint import disjoint_subjects
from harmbench.data.splits import halve_subjects, split_subjects
from harmbench.data.tuning import for_tuning
from harmbench.errors import UserError


@given(
    st.integers(2, 30),
    st.floats(0, 0.5),
    st.floats(0.01, 0.99),
    st.integers(0, 30),
)
def test_everybody_has_one_split_and_the_target_keeps_subjects_for_each_end(n, validation, test, m):
    target = [f"t{i}" for i in range(n)]
    source = target[: m // 2] + [f"s{i}" for i in range(m + 2)]
    splits = split_subjects({"a": target, "b": source}, validation=validation, test=test)
    assert set(splits) == {*target, *source}
    assert {splits[subject] for subject in target} >= {"train", "test"}
    alone = split_subjects({"a": target}, validation=validation, test=test)
    assert {subject: splits[subject] for subject in target} == alone


def test_the_split_does_not_depend_on_order():
    subjects = [f"p{i}" for i in range(9)]
    first = split_subjects({"a": subjects}, validation=0.2, test=0.3)
    assert first == split_subjects({"a": subjects[::-1]}, validation=0.2, test=0.3)
    assert sorted(first.values()).count("test") == 3


@given(st.sets(st.text(min_size=1), max_size=40), st.randoms())
def test_halves_are_balanced_and_do_not_depend_on_order(subjects, random):
    names = list(subjects)
    random.shuffle(names)
    source, target = halve_subjects(names)
    assert (source, target) == halve_subjects(sorted(subjects))
    assert source | target == subjects
    assert not source & target
    assert len(target) - len(source) in (0, 1)


def test_disjoint_scans_keep_the_scans_of_subjects_with_one_scanner(small_cohort):
    train = {name: small_cohort.scans(name, "train") for name in ("domain1", "target", "north")}
    source, target = disjoint_subjects(train["domain1"], train["target"])
    assert not {*source.subjects} & {*target.subjects}
    assert {*source.subjects, *target.subjects} == {"p3", "p4", "p5", "p6", "p7", "p8"}
    assert "p6" in target.subjects
    assert {"p7", "p8"} <= {*source.subjects}
    unchanged = disjoint_subjects(train["north"], train["target"])
    assert unchanged == (train["north"], train["target"])
    of_all_sources = disjoint_subjects(train["north"], train["target"], [train["domain1"]])
    assert of_all_sources == (train["north"], target)


def test_tuning_scores_validation_subjects_and_leaves_test_subjects_out(small_cohort):
    tuning = for_tuning(small_cohort)
    before, after = (
        cohort.table.groupby("split")["subject"].unique().map(set)
        for cohort in (small_cohort, tuning)
    )
    assert after["test"] == before["validation"] == {"p2"}
    assert not before["test"] & set(tuning.table["subject"])
    assert len(after["validation"]) == 1
    assert after["validation"] < {"p3", "p4", "p5", "p6"}
    assert after["train"] == before["train"] - after["validation"]
    assert "p0" in set(small_cohort.table["subject"])


def test_tuning_needs_validation_subjects(own_cohort):
    cohort = own_cohort()
    cohort.table = cohort.table[cohort.table["subject"] != "p2"]
    with pytest.raises(UserError, match="no validation subjects of the target to tune on; use"):
        for_tuning(cohort)


def test_scans_and_pairs_that_have_labels(own_cohort):
    path = own_cohort().directory / "cohort.json"
    content = json.loads(path.read_text())
    for scan in content["scans"]:
        pairs = {("target", "p0"), ("target", "p1"), ("domain1", "p1"), ("target", "p3")}
        scan["labelled"] = (scan["domain"], scan["subject"]) in pairs
    path.write_text(json.dumps(content))
    cohort = Cohort(path.parent)
    assert not cohort.scans("target", "train").labelled
    few = cohort.scans("target", "train", labelled=True)
    assert (few.subjects, few.labelled) == (("p3",), True)
    assert few.load([0]).labels is not None
    source, target = cohort.pairs("domain1", "test", labelled=True)
    assert source.subjects == target.subjects == ("p1",)
    assert len(cohort.pairs("domain1", "test")[0]) == 2
    assert cohort.pairs("domain1", "train", labelled=True) is None


def test_labels_of_slices_are_those_of_the_scans(small_cohort):
    scans = small_cohort.scans("target", "train")
    whole = torch.cat([batch.labels[0] for batch in scans.batches()])
    indices = torch.tensor([7, 0, 23, 7])
    assert torch.equal(scans.label_slices(indices), whole[indices])
    with pytest.raises(ValueError, match="scans of 'target' have no labels"):
        scans.without_labels().label_slices(indices)
