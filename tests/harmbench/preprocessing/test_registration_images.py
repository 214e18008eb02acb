"""The images that registration compares."""

from __future__ import annotations

import numpy as np
import pytest

from harmbench.preprocessing.nifti_read import Volume
from harmbench.preprocessing.registration_images import (
    UNIT,
    evened,
    isotropic,
    itk_image,
    itk_mask,
    load_template,
    transform_matrix,
)


def test_even_brightness_removes_a_bias_field() -> None:
    volume = load_template().volume
    gain = np.linspace(1, 2, volume.data.shape[1], dtype=np.float32)[:, None]
    biased = Volume(volume.data * gain, volume.affine)
    inside = load_template().inside
    before = biased.data[inside] / volume.data[inside]
    after = evened(biased).data[inside] / evened(volume).data[inside]
    assert before.max() / before.min() > 1.7
    assert after.max() / after.min() < 1.2
    assert np.array_equal(evened(volume).data > 0, volume.data > 0)


def test_even_brightness_does_not_brighten_a_hole() -> None:
    volume = load_template().volume
    x, y, z = np.indices(volume.data.shape)
    hole = ((x - 20) ** 2 + (y - 35) ** 2 + (z - 35) ** 2 < 10**2) & (volume.data > 0)
    dark = Volume(np.where(hole, 0.02, volume.data).astype(np.float32), volume.affine)
    assert evened(dark).data[hole].max() < 0.2


def test_isotropic_images_keep_positions() -> None:
    data = np.zeros((40, 60, 20), dtype=np.float32)
    data[10:30, 20:40, 5:15] = 1
    affine = np.array([[-1.0, 0, 0, 30], [0, 0.9, 0, -50], [0, 0, 3, 10], [0, 0, 0, 1]])
    image = isotropic(Volume(data, affine), 3.0, 9.0)
    assert image.voxel_size == pytest.approx((3, 3, 3))
    weights = image.data / image.data.sum()
    indices = np.indices(image.data.shape).reshape(3, -1)
    centre = (image.affine @ [*(indices @ weights.ravel()), 1])[:3]
    assert centre == pytest.approx((affine @ [19.5, 29.5, 9.5, 1])[:3], abs=0.5)
    assert image.data[:2].max() == image.data[-2:].max() == 0


def test_simpleitk_receives_lengths_in_units_of_a_brain() -> None:
    sitk = pytest.importorskip("SimpleITK")
    volume = load_template().volume
    image = itk_image(volume)
    corner = np.array(image.TransformIndexToPhysicalPoint((3, 4, 5))) * UNIT
    assert corner == pytest.approx((volume.affine @ [3, 4, 5, 1])[:3])
    counts = [int(sitk.GetArrayFromImage(itk_mask(volume, margin)).sum()) for margin in (0, 2)]
    assert counts[0] == np.count_nonzero(volume.data > 0)
    assert counts[1] > 1.1 * counts[0]


def test_a_matrix_of_simpleitk_is_returned_in_mm() -> None:
    sitk = pytest.importorskip("SimpleITK")
    transform = sitk.AffineTransform(3)
    transform.SetCenter((0.0, -0.3, 0.2))
    transform.SetMatrix((0.9, 0.1, 0, -0.1, 0.95, 0, 0, 0, 1.05))
    transform.SetTranslation((1.0, 0, -0.5))
    point = np.array([12.0, -34.0, 56.0])
    expected = np.array(transform.TransformPoint((point / UNIT).tolist())) * UNIT
    assert (transform_matrix(transform) @ [*point, 1])[:3] == pytest.approx(expected)
