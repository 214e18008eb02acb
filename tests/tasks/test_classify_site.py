"""The classifier of scanners: chance where there is nothing to find, and folds by subject."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from harmbench.errors import SkipCell
from harmbench_tasks.classify_site import (
    SLICES,
    SOURCE,
    TARGET,
    ClassifySite,
    Example,
    Stacks,
    balanced,
    folds,
)


def examples(**subjects: str) -> list[Example]:
    sides = {"s": SOURCE, "t": TARGET}
    return [
        Example(subject, str(i), sides[letter], 0)
        for subject, letters in subjects.items()
        for i, letter in enumerate(letters)
    ]


def test_each_subject_is_in_one_fold_and_training_folds_have_both_sides() -> None:
    given = examples(a="st", b="sst", c="s", d="s", e="t", f="t", g="t")
    result = folds(given)
    assert set(result) == set("abcdefg")
    assert len(set(result.values())) == 5
    for fold in set(result.values()):
        rest = {example.side for example in given if result[example.subject] != fold}
        assert rest == {SOURCE, TARGET}
    assert len(set(folds(examples(a="st", b="st", c="st")).values())) == 3


def test_both_sides_have_equal_weight() -> None:
    nan = float("nan")
    subjects = np.array([[1.0, nan], [0.5, nan], [nan, 0.25], [0.75, nan]])
    assert float(balanced(subjects)) == pytest.approx((0.75 + 0.25) / 2)
    assert np.isnan(balanced(subjects[[0, 1]]))


def test_stacks_keep_slices_on_disk() -> None:
    stacks = Stacks(2, (50, 4, 6))
    images = torch.rand(2, 50, 4, 6)
    stacks.add(images[:1])
    stacks.add(images[1:])
    assert stacks.slices_per_scan == SLICES
    assert stacks.scan(1).shape == (SLICES, 4, 6)
    torch.testing.assert_close(stacks.read(1, 0), stacks.scan(1)[0])
    gaps = (stacks.scan(1)[:, None] - images[1][None]).abs().amax(dim=(2, 3)).amin(dim=1)
    assert float(gaps.max()) < 1e-3


def shares(task, context, harmonized):
    data = context.data
    scorer = task.scorer(context)
    for index in range(len(data.test)):
        source = data.test.load([index])
        scorer.add(source, harmonized(source, index), None)
    table = scorer.table()
    return scorer.estimates(table)["site_accuracy"], table


def test_a_visible_scanner_is_detected_and_the_target_is_not(small_cohort, context) -> None:
    task = ClassifySite("domain1")
    assert task.name == "classify-site-domain1"
    scoring = context(task.setup(small_cohort, 0))
    data = scoring.data
    seen, table = shares(task, scoring, lambda source, place: source)
    assert seen.mean > 0.9
    assert list(table["scan"]) == ["target/1", "target/1", "source/a", "source/a"]
    same, _ = shares(task, scoring, lambda source, place: data.references.load([place]))
    assert same.mean == 0.5
    bounds = task.bounds(scoring)
    assert bounds["source as it is"]["site_accuracy"] == seen
    assert bounds["chance"]["site_accuracy"].mean == 0.5


def test_two_runs_give_equal_scores(small_cohort, context) -> None:
    task = ClassifySite("north")
    scoring = context(task.setup(small_cohort, 0))
    first, again = (shares(task, scoring, lambda source, _: source) for _ in range(2))
    assert first[1].equals(again[1])
    assert first[0] == again[0]
    assert first[0].n == 4


def test_too_few_subjects_are_skipped_with_the_reason(own_cohort, change_table) -> None:
    def few(scan):
        return scan if scan["subject"] != "n1" else None

    with pytest.raises(SkipCell, match="'north' has 1 test subjects"):
        ClassifySite("north").setup(change_table(own_cohort(), few), 0)
