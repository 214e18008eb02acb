"""Quality of a registration."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pytest

from harmbench.preprocessing.nifti_read import Volume
from harmbench.preprocessing.registration_images import load_template
from harmbench.preprocessing.registration_quality import (
    DOUBTFUL_CORRELATION,
    MIN_CORRELATION,
    axis_scales,
    correlation,
    implausibility,
    local_correlation,
)

IDENTITY = np.eye(4)


@lru_cache(maxsize=1)
def noisy() -> np.ndarray:
    """The template with noise of a third of its spread."""
    data = load_template().volume.data
    noise = np.random.default_rng(0).normal(scale=data[data > 0].std() / 3, size=data.shape)
    return np.where(data > 0, np.maximum(data + noise, 1e-3), 0).astype(np.float32)


def local(data: np.ndarray, matrix: np.ndarray = IDENTITY) -> float:
    template = load_template()
    moving = Volume(data.astype(np.float32), template.volume.affine)
    return local_correlation(moving, matrix, template.volume, template.inside)


@pytest.mark.parametrize(
    ("scales", "reason"),
    [
        ((0.97, 0.94, 0.28), "0.97, 0.94, 0.28 times as large as the template"),
        ((1.5, 1.2, 1.1), "times as large"),
        ((0.95, 0.9, 0.6), "ratio <= 1.5"),
        ((-0.9, 0.9, 0.9), "mirrors"),
        ((1.0, 1.0, 0.0), "mirrors"),
        ((0.96, 0.9, 0.78), None),
        ((0.57, 0.57, 0.52), None),
        ((1.1, 1.05, 1.0), None),
    ],
)
def test_affines_of_no_brain_are_implausible(
    scales: tuple[float, float, float], reason: str | None
) -> None:
    c, s = np.cos(0.4), np.sin(0.4)
    rotation = np.array([[c, -s, 0, 5], [s, c, 0, -70], [0, 0, 1, 20], [0, 0, 0, 1]])
    matrix = rotation @ np.diag([*scales, 1.0])
    found = implausibility(matrix)
    assert found is None if reason is None else reason in str(found)


def test_scales_are_singular_values_in_descending_order() -> None:
    matrix = np.diag([0.8, 1.1, 0.9, 1.0])[[2, 0, 1, 3]]
    assert axis_scales(matrix) == pytest.approx([1.1, 0.9, 0.8])


def test_local_correlation_of_the_template_with_itself_is_one() -> None:
    assert local(load_template().volume.data) == pytest.approx(1, abs=1e-3)
    assert local(-load_template().volume.data) == pytest.approx(-1, abs=1e-3)


def test_local_correlation_does_not_depend_on_scale_and_bias() -> None:
    gain = np.linspace(1, 2, noisy().shape[1])[:, None]
    assert local(4000 * noisy()) == pytest.approx(local(noisy()), abs=1e-5)
    assert local(noisy() * gain) == pytest.approx(local(noisy()), abs=0.03)


def test_a_lesion_changes_local_correlation_less_than_correlation() -> None:
    template = load_template()
    x, y, z = np.indices(noisy().shape)
    hole = (x - 20) ** 2 + (y - 35) ** 2 + (z - 35) ** 2 < 8**2  # 24 mm
    damaged = np.where(hole, 0.05 * noisy(), noisy())

    def pearson(data: np.ndarray) -> float:
        moving = Volume(data, template.volume.affine)
        return correlation(moving, IDENTITY, template.volume, template.inside)

    assert hole[template.inside].sum() > 1000
    assert local(noisy()) - local(damaged) < 0.6 * (pearson(noisy()) - pearson(damaged))
    assert local(damaged) > DOUBTFUL_CORRELATION


@pytest.mark.parametrize("axis", [1, 2])
def test_a_flipped_brain_does_not_correlate_locally(axis: int) -> None:
    assert local(np.flip(noisy(), axis)) < MIN_CORRELATION


@pytest.mark.parametrize("value", [0.0, 1.0, 4095.0])
def test_local_correlation_of_a_constant_image_is_zero(value: float) -> None:
    assert local(np.full_like(noisy(), value)) == 0
