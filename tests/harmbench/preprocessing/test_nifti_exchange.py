from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest

from harmbench.errors import BadScanError
from harmbench.preprocessing.nifti_create import nifti_file
from harmbench.preprocessing.nifti_exchange import read_exchange

AFFINE = np.array([[0.9, 0, 0, -80.1], [0, 1.1, 0, -110.3], [0, 0, 1.3, -60.7], [0, 0, 0, 1.0]])


@pytest.fixture
def image():
    values = np.random.default_rng(0).gamma(2, 150, (9, 11, 7))
    return values.astype(np.float32)


def test_float32_returns_bit_by_bit(tmp_path, image) -> None:
    path = tmp_path / "a.nii.gz"
    path.write_bytes(nifti_file(image, AFFINE))
    assert np.array_equal(read_exchange(path, image, AFFINE), image)


def test_another_order_of_axes_is_accepted(tmp_path, image) -> None:
    flipped = nib.Nifti1Image(image, AFFINE).as_reoriented([[1, -1], [0, 1], [2, -1]])
    nib.save(flipped, tmp_path / "a.nii.gz")
    assert np.array_equal(read_exchange(tmp_path / "a.nii.gz", image, AFFINE), image)


def shifted(millimetres):
    affine = AFFINE.copy()
    affine[1, 3] += millimetres
    return affine


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda image: (image[:-1], AFFINE), "has shape"),
        (lambda image: (image, shifted(0.5)), "is shifted from its input by up to 0.5 mm"),
        (lambda image: (image, AFFINE @ np.diag([1.01, 1, 1, 1])), "is shifted"),
        (lambda image: (np.where(image > 500, np.nan, image), AFFINE), "non-finite voxels"),
        (lambda image: (np.stack([image, image], -1), AFFINE), "one 3-D volume is needed"),
    ],
)
def test_an_output_on_other_voxels_or_without_numbers_is_refused(
    tmp_path, image, change, message
) -> None:
    data, affine = change(image)
    nib.save(nib.Nifti1Image(data.astype(np.float32), affine), tmp_path / "a.nii.gz")
    with pytest.raises(BadScanError, match=message):
        read_exchange(tmp_path / "a.nii.gz", image, AFFINE)


def test_a_rounded_affine_is_accepted(tmp_path, image) -> None:
    rounded = shifted(0.003)
    nib.save(nib.Nifti1Image(image, rounded), tmp_path / "a.nii.gz")
    assert np.array_equal(read_exchange(tmp_path / "a.nii.gz", image, AFFINE), image)
