"""Registration to the template."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from harmbench.errors import BadScanError
from harmbench.preprocessing.brain import crop_brain
from harmbench.preprocessing.nifti_read import Volume, load_volume
from harmbench.preprocessing.registration import DOUBTFUL_CORRELATION, register
from helpers.volumes import coarse, sampled, template, volume_of

PSR = np.array([[0, 0, 1], [-1, 0, 0], [0, 1, 0]])
LAS = np.diag([-1, 1, 1])


def turn(axis: int, degrees: float) -> np.ndarray:
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    i, j = (axis + 1) % 3, (axis + 2) % 3
    matrix = np.eye(4)
    matrix[[i, i, j, j], [i, j, i, j]] = [c, -s, s, c]
    return matrix


def write_turned(path: Path, axes: np.ndarray, zooms: tuple[float, float, float]) -> np.ndarray:
    """Write the template as another brain in another pose; return scanner mm to MNI152."""
    to_mni = turn(0, 14) @ turn(2, -9) @ turn(1, 6) @ np.diag([1.08, 0.94, 1.02, 1.0])
    to_mni[:3, 3] = [15, -30, 20]
    affine = np.eye(4)
    affine[:3, :3] = axes @ np.diag(zooms)
    shape = tuple(int(np.ceil(260 / zoom)) for zoom in zooms)
    middle = np.linalg.solve(to_mni, [0, -18, 10, 1])[:3]
    affine[:3, 3] = middle - affine[:3, :3] @ (np.array(shape) - 1) / 2
    data = (4095 * sampled(to_mni, affine, shape)).astype(np.int16)
    nib.save(nib.Nifti1Image(data, affine), path)
    return to_mni


@pytest.mark.parametrize(
    ("axes", "zooms"), [(LAS, (1.2, 1.2, 3.0)), (PSR, (2.0, 2.0, 2.0))], ids=["LAS", "PSR"]
)
def test_a_turned_anisotropic_brain_registers_back(
    tmp_path: Path, axes: np.ndarray, zooms: tuple[float, float, float]
) -> None:
    path = tmp_path / "scan.nii.gz"
    to_mni = write_turned(path, axes, zooms)
    brain = crop_brain(load_volume(path))
    registration = register(brain)
    points = np.argwhere(template()[0] > 0.3)[::997]
    points = template()[1] @ np.c_[points, np.ones(len(points))].T
    back = to_mni @ np.array(registration.matrix) @ points
    apart = np.linalg.norm((back - points)[:3], axis=0)
    assert apart.mean() < 1.0
    assert apart.max() < 1.5
    assert registration.correlation > 0.9
    # Left is left: mirrored, half of the brain would be apart by as much as it is wide.
    assert np.linalg.det(registration.matrix) > 0


def test_registration_is_repeatable_to_the_bit() -> None:
    brain = crop_brain(volume_of(coarse(10)))
    assert register(brain) == register(brain)


def test_registration_fails_without_a_brain() -> None:
    ball = np.indices((40, 40, 40)) - 20
    noise = np.random.default_rng(0).uniform(1, 2, (40, 40, 40))
    data = np.where((ball**2).sum(axis=0) < 15**2, noise, 0).astype(np.float32)
    with pytest.raises(BadScanError, match="registration to MNI152 failed"):
        register(crop_brain(Volume(data, np.diag([4.0, 4.0, 4.0, 1.0]))))


def test_a_brain_upside_down_in_its_file_is_at_least_doubtful() -> None:
    volume = volume_of(coarse())
    upside_down = replace(volume, data=volume.data[:, :, ::-1].copy())
    assert _score(upside_down) < DOUBTFUL_CORRELATION < _score(volume)


def _score(volume: Volume) -> float:
    try:
        return register(crop_brain(volume)).correlation
    except BadScanError:
        return 0.0
