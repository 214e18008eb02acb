from __future__ import annotations

import nibabel as nib
import numpy as np

from harmbench.preprocessing.nifti_create import nifti_file
from harmbench.preprocessing.nifti_read import load_volume

AFFINE = np.array([[1.2, 0, 0, -30], [0, 2.4, 0, -40.1], [0, 0, 3, 12], [0, 0, 0, 1.0]])


def test_a_file_is_read_back_to_the_bit(tmp_path) -> None:
    data = np.random.default_rng(0).normal(size=(4, 5, 6)).astype(np.float32)
    content = nifti_file(data, AFFINE)
    assert content == nifti_file(data.copy(), AFFINE.copy())
    (tmp_path / "scan.nii.gz").write_bytes(content)
    volume = load_volume(tmp_path / "scan.nii.gz")
    np.testing.assert_array_equal(volume.data, data)
    np.testing.assert_allclose(volume.affine, AFFINE, atol=1e-5)


def test_both_matrices_of_the_header_contain_the_affine(tmp_path) -> None:
    path = tmp_path / "scan.nii.gz"
    path.write_bytes(nifti_file(np.ones((4, 5, 6), np.float32), AFFINE, in_mni=True))
    header = nib.load(path).header
    for matrix, code in (header.get_sform(coded=True), header.get_qform(coded=True)):
        np.testing.assert_allclose(matrix, AFFINE, atol=1e-4)
        assert code == 4
    assert header.get_xyzt_units()[0] == "mm"


def test_a_shear_has_no_qform(tmp_path) -> None:
    sheared = AFFINE.copy()
    sheared[0, 1] = 0.2
    (tmp_path / "scan.nii.gz").write_bytes(nifti_file(np.ones((4, 5, 6), np.float32), sheared))
    image = nib.load(tmp_path / "scan.nii.gz")
    assert image.header["qform_code"] == 0
    np.testing.assert_allclose(image.affine, sheared, atol=1e-4)


def test_a_mask_is_stored_as_zero_and_one(tmp_path) -> None:
    mask = np.random.default_rng(0).random((4, 5, 6)) > 0.5
    (tmp_path / "mask.nii.gz").write_bytes(nifti_file(mask, AFFINE))
    stored = nib.load(tmp_path / "mask.nii.gz")
    assert stored.get_data_dtype() == np.uint8
    assert np.array_equal(np.asarray(stored.dataobj), mask)
