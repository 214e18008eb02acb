"""Classifiers of scanners: chance where there is nothing to find, and what stands beside it."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from harmbench.errors import SkipCell
from harmbench_tasks.classify_site import UNCHANGED_DB, ClassifySite, balanced
from harmbench_tasks.site_classifier import PRESETS, ClassifierConfig


@pytest.fixture(autouse=True)
def short(monkeypatch) -> None:
    """Train less than on real scans: the scanners of the small cohort are easy to tell apart."""
    monkeypatch.setitem(
        PRESETS,
        "quick",
        ClassifierConfig(seeds=2, most_steps=60, window=30, small_loss=0.05, permutations=10),
    )


def test_both_sides_have_equal_weight() -> None:
    nan = float("nan")
    subjects = np.array([[1.0, nan], [0.5, nan], [nan, 0.25], [0.75, nan]])
    assert float(balanced(subjects)) == pytest.approx((0.75 + 0.25) / 2)
    assert np.isnan(balanced(subjects[[0, 1]]))


def shares(task, context, harmonized):
    data = context.data
    scorer = task.scorer(context)
    for index in range(len(data.test)):
        source = data.test.load([index])
        scorer.add(source, harmonized(source, index), None)
    table = scorer.table()
    return scorer.estimates(table), table


def test_a_visible_scanner_is_detected_and_the_target_is_not(small_cohort, context) -> None:
    task = ClassifySite("domain1")
    assert task.name == "classify-site-domain1"
    scoring = context(task.setup(small_cohort, 0))
    data = scoring.data
    seen, table = shares(task, scoring, lambda source, place: source)
    assert seen["site_accuracy"].mean > 0.75
    assert seen["site_accuracy_linear"].mean >= 0.75
    assert seen["source_psnr"].mean == UNCHANGED_DB
    scans = table[table["metric"] == "site_accuracy"]["scan"]
    assert list(scans) == ["target/1", "target/1", "source/a", "source/a"]
    same, _ = shares(task, scoring, lambda source, place: data.references.load([place]))
    assert same["site_accuracy"].mean == 0.5
    assert same["site_linear_p"].mean > 0.2
    assert same["source_psnr"].mean < 20
    for numbers in (seen, same):
        low, mean, high = (numbers[f"site_accuracy{end}"].mean for end in ("_low", "", "_high"))
        assert low <= mean <= high


def test_two_runs_give_equal_scores(small_cohort, context) -> None:
    task = ClassifySite("north")
    scoring = dataclasses.replace(context(task.setup(small_cohort, 0)), preset="tiny")
    first, again = (shares(task, scoring, lambda source, _: source) for _ in range(2))
    assert first[1].equals(again[1])
    assert first[0] == again[0]
    assert first[0]["site_accuracy"].n == 4
    bounds = task.bounds(scoring)
    assert bounds["source as it is"] == first[0]
    assert bounds["chance"]["site_accuracy"].mean == 0.5


def test_too_few_subjects_are_skipped_with_the_reason(own_cohort, change_table) -> None:
    def few(scan):
        return scan if scan["subject"] != "n1" else None

    with pytest.raises(SkipCell, match="'north' has 1 test subjects"):
        ClassifySite("north").setup(change_table(own_cohort(), few), 0)
