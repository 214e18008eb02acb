"""The random streams of the phantom, and the names of its subjects.

Test subjects have streams of their own, under a purpose that no other code uses: code that
draws subjects or scans under the training purpose can never draw a test subject.
"""

from __future__ import annotations

import numpy as np

from harmbench.util.seeds import derive, numpy_generator

SEED = 0  # of the cohort itself, which is the same for every seed of a run
_TRAINING, _TEST = "phantom training subject", "phantom sealed test subject"
_TEST_PREFIX = "T"


def name_training_subject(number: int) -> str:
    """Name the training or validation subject of a number, from 1."""
    return f"P{number:05d}"


def name_test_subject(number: int) -> str:
    """Name the test subject of a number, from 1."""
    return f"{_TEST_PREFIX}{number:05d}"


def is_test(subject: str) -> bool:
    """Return whether a name is that of a test subject."""
    return subject.startswith(_TEST_PREFIX)


def subject_generator(subject: str, *axes: str) -> np.random.Generator:
    """Return the generator of what is drawn for a subject along further axes."""
    return numpy_generator(SEED, _purpose(subject), subject, *axes)


def subject_seed(subject: str, *axes: str) -> int:
    """Return the seed of what is drawn for a subject along further axes."""
    return derive(SEED, _purpose(subject), subject, *axes)


def scanner_generator(scanner: str, *axes: str) -> np.random.Generator:
    """Return the generator of what is the same for all scans of a scanner."""
    return numpy_generator(SEED, "phantom scanner", scanner, *axes)


def clipped_normal(generator: np.random.Generator, mean: float, deviation: float) -> float:
    """Draw from a normal distribution, clipped at 2.5 standard deviations."""
    return float(mean + deviation * np.clip(generator.standard_normal(), -2.5, 2.5))


def _purpose(subject: str) -> str:
    return _TEST if is_test(subject) else _TRAINING
