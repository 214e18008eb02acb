"""The linear probe, and its permutation null."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from harmbench_tasks.site_classifier import SOURCE, TARGET, ClassifierConfig, Example
from harmbench_tasks.site_features import (
    balanced_accuracy,
    linear_correct,
    permutation_null,
    permuted_sides,
    scanner_features,
)

PAIRED = [Example(f"p{i}", "1", side, i) for i in range(8) for side in (SOURCE, TARGET)]
SINGLE = [Example(f"{side}{i}", "1", side, i) for i in range(8) for side in (SOURCE, TARGET)]


@pytest.mark.parametrize("examples", [PAIRED, SINGLE])
def test_the_null_is_near_chance_and_a_difference_above_it(examples):
    random = np.random.default_rng(0)
    sides = [example.side for example in examples]
    features = random.normal(size=(len(examples), 5))
    features[:, 0] += 6 * np.array(sides)
    null = permutation_null(features, examples, 0, ClassifierConfig(permutations=40))
    assert np.median(null) == pytest.approx(0.5, abs=0.15)
    seen = balanced_accuracy(linear_correct(features, examples, sides, 5), sides)
    assert seen > np.quantile(null, 0.95)


def test_permutations_keep_the_numbers_of_both_sides():
    random = np.random.default_rng(1)
    for examples in (PAIRED, SINGLE):
        drawn = [permuted_sides(examples, random) for _ in range(20)]
        assert {sum(sides) for sides in drawn} == {8}
        assert len({tuple(sides) for sides in drawn}) > 5
    pairs = np.array(permuted_sides(PAIRED, random)).reshape(-1, 2)
    assert (pairs.sum(axis=1) == 1).all()  # a subject keeps one scan of either side


def test_features_see_noise_and_contrast(small_cohort):
    scans = small_cohort.scans("target", "test").load([0])
    plain = scanner_features(scans)[0]
    darker = scanner_features(dataclasses.replace(scans, images=0.5 * scans.images))[0]
    assert darker[:20] == pytest.approx(0.5 * plain[:20])
    assert np.isfinite(plain).all()
