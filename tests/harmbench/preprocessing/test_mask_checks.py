"""Size and components of masks."""

from __future__ import annotations

import numpy as np
import pytest

from harmbench.preprocessing.mask_checks import shape_doubts, size_fault
from harmbench.preprocessing.nifti_read import Volume

VOLUME = Volume(np.ones((40, 40, 40), np.float32), np.diag([5.0, 5.0, 5.0, 1.0]))


def box(*sides: int) -> np.ndarray:
    mask = np.zeros(VOLUME.data.shape, bool)
    mask[tuple(slice(2, 2 + side) for side in sides)] = True
    return mask


@pytest.mark.parametrize(
    ("mask", "fault"),
    [
        (box(0, 0, 0), "is empty"),
        (box(10, 10, 10), r"has only 0.12 L (expected >= 0.3 L)"),
        (box(30, 30, 30), r"has 3.4 L (expected <= 2.2 L)"),
        (box(24, 22, 20), None),
    ],
)
def test_a_mask_has_the_size_of_a_brain(mask: np.ndarray, fault: str | None) -> None:
    assert size_fault(mask, VOLUME) == fault


@pytest.mark.parametrize(
    ("mask", "doubts"),
    [
        (box(24, 22, 20), []),
        (box(20, 16, 16), ["the brain mask has 0.64 L (usually 0.9 to 2.1 L)"]),
        (box(25, 25, 27), ["the brain mask has 2.11 L (usually 0.9 to 2.1 L)"]),
    ],
)
def test_an_unusual_size_is_doubtful(mask: np.ndarray, doubts: list[str]) -> None:
    assert list(shape_doubts(mask, VOLUME)) == doubts


def test_separate_parts_are_doubtful_but_specks_are_not() -> None:
    mask = box(24, 22, 20)
    mask[36, 36, 36] = True
    assert not shape_doubts(mask, VOLUME)
    mask[30:38, 30:38, 30:38] = True
    (doubt,) = shape_doubts(mask, VOLUME)
    assert doubt == "5% of the brain mask are separate from its main component"
