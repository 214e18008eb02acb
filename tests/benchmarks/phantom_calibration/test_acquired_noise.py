import nibabel as nib
import numpy as np
import pytest
from phantom_calibration.acquired_noise import acquired_noise
from phantom_calibration.template import GRID


def test_snr_on_the_voxels_of_the_file(tmp_path):
    white = np.zeros(GRID.shape, dtype=bool)
    white[30:90, 30:90, 40:110] = True
    # The scan: 1.5 mm voxels, shifted by 10 mm from MNI152; white matter of 1000 with noise of 40.
    shift = np.eye(4)
    shift[:3, 3] = 10, -5, 3
    affine = shift @ np.array(
        [[1.5, 0, 0, -75.0], [0, 1.5, 0, -110.0], [0, 0, 1.5, -75.0], [0, 0, 0, 1]]
    )
    data = np.random.default_rng(0).normal(1000, 40, (100, 125, 110))
    path = tmp_path / "sub-1_T1w.nii.gz"
    nib.save(nib.Nifti1Image(data.astype(np.float32), affine), path)

    result = acquired_noise(path, white, shift)

    assert result["acquired_snr"] == pytest.approx(25, rel=0.05)
    assert result["acquired_grain"] == pytest.approx(1, abs=0.05)
    assert result["acquired_voxel_mm3"] == pytest.approx(1.5**3, rel=1e-4)
