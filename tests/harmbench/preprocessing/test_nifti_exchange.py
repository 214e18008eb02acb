from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest

from harmbench.errors import BadScanError
from harmbench.preprocessing.nifti_exchange import read_exchange, write_exchange

AFFINE = np.array([[0.9, 0, 0, -80.1], [0, 1.1, 0, -110.3], [0, 0, 1.3, -60.7], [0, 0, 0, 1.0]])


@pytest.fixture
def image():
    values = np.random.default_rng(0).gamma(2, 150, (9, 11, 7))
    return values.astype(np.float32)


def test_float32_returns_bit_by_bit(tmp_path, image) -> None:
    path = tmp_path / "new" / "a.nii.gz"
    write_exchange(path, image, AFFINE)
    assert np.array_equal(read_exchange(path, image, AFFINE), image)


def test_both_matrices_of_the_header_contain_the_affine(tmp_path, image) -> None:
    write_exchange(tmp_path / "a.nii.gz", image, AFFINE, in_template=True)
    header = nib.load(tmp_path / "a.nii.gz").header
    for matrix, code in (header.get_sform(coded=True), header.get_qform(coded=True)):
        np.testing.assert_allclose(matrix, AFFINE, atol=1e-4)
        assert code == 4
    assert header.get_xyzt_units()[0] == "mm"


def test_a_shear_has_no_qform(tmp_path, image) -> None:
    sheared = AFFINE.copy()
    sheared[0, 1] = 0.2
    write_exchange(tmp_path / "a.nii.gz", image, sheared)
    assert nib.load(tmp_path / "a.nii.gz").header["qform_code"] == 0
    assert np.array_equal(read_exchange(tmp_path / "a.nii.gz", image, sheared), image)


def test_a_mask_is_stored_as_zero_and_one(tmp_path, image) -> None:
    write_exchange(tmp_path / "m.nii.gz", image > 200, AFFINE)
    mask = nib.load(tmp_path / "m.nii.gz")
    assert mask.get_data_dtype() == np.uint8
    assert np.array_equal(np.asarray(mask.dataobj), image > 200)


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
