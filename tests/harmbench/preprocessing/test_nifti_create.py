from __future__ import annotations

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
