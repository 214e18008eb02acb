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
CONFIG = ClassifierConfig(folds=3, permutations=19)
SINGLE = [Example(f"{side}{i}", "1", side, i) for i in range(8) for side in (SOURCE, TARGET)]


@pytest.mark.parametrize("examples", [PAIRED, SINGLE])
def test_the_null_is_near_chance_and_a_difference_above_it(examples):
    random = np.random.default_rng(0)
    sides = [example.side for example in examples]
    features = random.normal(size=(len(examples), 5))
    features[:, 0] += 6 * np.array(sides)
    null = permutation_null(features, examples, 0, CONFIG)
    assert np.median(null) == pytest.approx(0.5, abs=0.15)
    seen = balanced_accuracy(linear_correct(features, examples, sides, CONFIG), sides)
    assert seen > np.quantile(null, 0.95)


def test_without_a_scanner_effect_the_accuracy_is_at_chance_and_several_partitions_steady_it():
    random = np.random.default_rng(0)
    sides = [example.side for example in PAIRED]
    accuracies = {1: [], 3: []}
    for _ in range(30):
        subjects = np.repeat(random.normal(size=(8, 3)), 2, axis=0)
        features = subjects + 0.5 * random.normal(size=(16, 3))
        for partitions, values in accuracies.items():
            config = dataclasses.replace(CONFIG, partitions=partitions)
            values.append(balanced_accuracy(linear_correct(features, PAIRED, sides, config), sides))
    for values in accuracies.values():
        # Not below, as if scans of one subject were on either side of a fold.
        assert np.mean(values) == pytest.approx(0.5, abs=0.06)
    assert np.std(accuracies[3]) < 0.9 * np.std(accuracies[1])


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
