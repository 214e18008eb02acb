"""A linear probe of scanners: logistic regression on the histogram and the texture of scans."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

from harmbench import Scans, numpy_generator

from .site_classifier import SOURCE, TARGET, ClassifierConfig, Example, folds

LEVELS = 20  # quantiles of the intensities in the brain
STEPS = (1, 2, 4)  # pixels over which differences are taken

Array = npt.NDArray[np.float64]


def scanner_features(scans: Scans) -> Array:
    """Return histogram and texture of N scans: `(N, 32)`.

    Quantiles of the intensities in the brain; and of the differences over 1, 2 and 4 pixels
    within slices, along rows and columns, the logarithm of the standard deviation and the
    kurtosis.
    """
    return np.stack(
        [
            _features(image, mask)
            for image, mask in zip(scans.images.double(), scans.masks, strict=True)
        ]
    )


def _features(image: Tensor, mask: Tensor) -> Array:
    brain = image[mask].numpy()
    if not len(brain):
        return np.zeros(LEVELS + 4 * len(STEPS))
    values = [*np.quantile(brain, (np.arange(LEVELS) + 0.5) / LEVELS)]
    for step in STEPS:
        for axis in (1, 2):
            count = image.shape[axis] - step
            ahead, behind = (image.narrow(axis, start, count) for start in (step, 0))
            both = mask.narrow(axis, step, count) & mask.narrow(axis, 0, count)
            change = (ahead - behind)[both].numpy()
            deviation = float(change.std()) + 1e-6 if len(change) else 1e-6
            values += [np.log(deviation), float((change**4).mean()) / deviation**4]
    return np.array(values)


def linear_correct(
    features: Array, examples: Sequence[Example], sides: Sequence[int], config: ClassifierConfig
) -> Array:
    """Return how often each scan is classified correctly, cross-validated by subject: `(N,)`.

    All scans of a subject are in one fold, so that two scans of one brain are never on either
    side of it. With few subjects the accuracy depends on the partition into folds, so it is the
    mean over several.

    Parameters
    ----------
    features
        `(N, k)` of the examples.
    examples
        They determine the folds.
    sides
        The side that each scan is said to be of.
    config
        Numbers of folds and of partitions.

    Returns
    -------
    Array
        Shares in [0, 1]; NaN where the other folds always have one side only.
    """
    return _mean_correct(features, sides, _partitions(examples, config))


def _partitions(
    examples: Sequence[Example], config: ClassifierConfig
) -> list[npt.NDArray[np.int_]]:
    """Return the number of each scan's fold, in each partition."""
    partitions = (
        folds(examples, config.folds, partition) for partition in range(config.partitions)
    )
    return [np.array([fold[example.subject] for example in examples]) for fold in partitions]


def _mean_correct(
    features: Array, sides: Sequence[int], partitions: Sequence[npt.NDArray[np.int_]]
) -> Array:
    """Return the mean of `_correct` over partitions."""
    correct = np.stack([_correct(features, sides, fold) for fold in partitions])
    present = ~np.isnan(correct)
    with np.errstate(invalid="ignore"):
        shares: Array = np.where(present, correct, 0.0).sum(axis=0) / present.sum(axis=0)
    return shares


def _correct(features: Array, sides: Sequence[int], fold: npt.NDArray[np.int_]) -> Array:
    """Return 1 or 0 for each scan; NaN where the other folds have one side only."""
    answers = np.array(sides)
    correct = np.full(len(answers), np.nan)
    for number in range(int(fold.max()) + 1):
        tested = fold == number
        if len(set(answers[~tested])) < 2:
            continue
        model = _regression().fit(features[~tested], answers[~tested])
        correct[tested] = model.predict(features[tested]) == answers[tested]
    return correct


def _regression() -> Any:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(
        StandardScaler(), LogisticRegression(class_weight="balanced", solver="liblinear")
    )


def permuted_sides(examples: Sequence[Example], random: np.random.Generator) -> list[int]:
    """Return sides as they would be if the scanner made no difference.

    The sides of a subject with scans of both are exchanged or kept; the other subjects exchange
    theirs among each other.
    """
    own: dict[str, set[int]] = {}
    for example in examples:
        own.setdefault(example.subject, set()).add(example.side)
    single = [subject for subject, sides in own.items() if len(sides) == 1]
    drawn = random.permutation([next(iter(own[subject])) for subject in single])
    given = dict(zip(single, drawn.tolist(), strict=True))
    exchanged = {subject: bool(random.integers(2)) for subject in own}

    def side(example: Example) -> int:
        if example.subject in given:
            return int(given[example.subject])
        return SOURCE + TARGET - example.side if exchanged[example.subject] else example.side

    return [side(example) for example in examples]


def balanced_accuracy(correct: Array, sides: Sequence[int]) -> float:
    """Return the mean over both sides of the share of correct scans; NaN without either."""
    answers = np.array(sides)
    shares = [correct[(answers == side) & ~np.isnan(correct)] for side in (SOURCE, TARGET)]
    return float(np.mean([share.mean() if len(share) else np.nan for share in shares]))


def permutation_null(
    features: Array, examples: Sequence[Example], seed: int, config: ClassifierConfig
) -> Array:
    """Return the balanced accuracy of the linear probe for permuted sides: `(permutations,)`."""
    random = numpy_generator(seed, "classify-site", "permutations")
    accuracies, partitions = [], _partitions(examples, config)
    for _ in range(config.permutations):
        sides = permuted_sides(examples, random)
        correct = _mean_correct(features, sides, partitions)
        accuracies.append(balanced_accuracy(correct, sides))
    return np.array(accuracies)
