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
from harmbench.preprocessing.registration import Registration, register
from harmbench.preprocessing.registration_quality import DOUBTFUL_CORRELATION
from helpers import BRAINS
from helpers.volumes import coarse, sampled, template, volume_of

PSR = np.array([[0, 0, 1], [-1, 0, 0], [0, 1, 0]])
LAS = np.diag([-1, 1, 1])
CASE = BRAINS.parent / "cases" / "healthy_brain_that_fails_registration_T1w.nii.gz"


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
    shape = tuple(int(np.ceil(230 / zoom)) for zoom in zooms)
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
    path = tmp_path / "scan.nii"
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
    assert registration.starts == 1
    # The brain is 8 % smaller along one axis than the template, and 6 % larger along another.
    assert registration.scales == pytest.approx((1 / 0.94, 1 / 1.02, 1 / 1.08), abs=0.02)
    # Left is left: mirrored, half of the brain would be apart by as much as it is wide.
    assert np.linalg.det(registration.matrix) > 0


@pytest.fixture(scope="module")
def upright() -> Registration:
    """The registration of the template's own brain."""
    return register(crop_brain(volume_of(coarse())))


def test_registration_is_repeatable_to_the_bit(upright: Registration) -> None:
    assert register(crop_brain(volume_of(coarse()))) == upright


@pytest.mark.slow  # every start is tried, as for inverted contrast
def test_registration_fails_without_a_brain() -> None:
    ball = np.indices((40, 40, 40)) - 20
    noise = np.random.default_rng(0).uniform(1, 2, (40, 40, 40))
    data = np.where((ball**2).sum(axis=0) < 15**2, noise, 0).astype(np.float32)
    with pytest.raises(BadScanError, match="registration to MNI152 failed"):
        register(crop_brain(Volume(data, np.diag([4.0, 4.0, 4.0, 1.0]))))


@pytest.mark.slow  # every start is tried, as for inverted contrast
def test_a_brain_upside_down_in_its_file_is_at_least_doubtful(upright: Registration) -> None:
    volume = volume_of(coarse())
    upside_down = replace(volume, data=volume.data[:, :, ::-1].copy())
    assert _score(upside_down) < DOUBTFUL_CORRELATION < upright.correlation


def positions_apart(one: np.ndarray, other: np.ndarray) -> float:
    """Mean distance in mm, over the template's brain, of its points by two transforms."""
    points = np.argwhere(template()[0] > 0.3)[::997]
    points = template()[1] @ np.c_[points, np.ones(len(points))].T
    return float(np.linalg.norm(((one - other) @ points)[:3], axis=0).mean())


@pytest.mark.parametrize(
    "angles",
    [
        (40, -40, 40),
        *(pytest.param(single, marks=pytest.mark.slow) for single in ((40, 0, 0), (0, -40, 0))),
    ],
    ids=str,
)
def test_a_brain_that_is_turned_by_40_degrees_registers(
    angles: tuple[int, int, int], upright: Registration
) -> None:
    volume = volume_of(coarse())
    movement = turn(2, angles[2]) @ turn(1, angles[1]) @ turn(0, angles[0])
    movement[:3, 3] = 60, -60, 60
    turned = register(crop_brain(replace(volume, affine=movement @ volume.affine)))
    moved = movement @ np.array(upright.matrix)
    assert positions_apart(moved, np.array(turned.matrix)) < 1.5


def test_a_bias_field_hardly_moves_a_brain() -> None:
    volume = volume_of(coarse())
    gain = np.linspace(1, 2.5, volume.data.shape[1], dtype=np.float32)[:, None]
    biased = register(crop_brain(replace(volume, data=volume.data * gain)))
    assert positions_apart(np.eye(4), np.array(biased.matrix)) < 1.0


def test_a_dark_hole_hardly_moves_a_brain(upright: Registration) -> None:
    volume = volume_of(coarse())
    distance = np.indices(volume.data.shape) - np.array([32, 37, 32]).reshape(3, 1, 1, 1)
    hole = (np.linalg.norm(distance, axis=0) < 6.25) & (volume.data > 0)  # 65 ml
    damaged = replace(volume, data=np.where(hole, np.float32(0.03), volume.data))
    moved = register(crop_brain(damaged))
    # 0.25 if the hole is compared.
    assert positions_apart(np.array(upright.matrix), np.array(moved.matrix)) < 0.15


@pytest.mark.parametrize(
    ("factors", "reason"),
    [
        # The search starts at this size, so it ends soon.
        ((0.45, 0.45, 0.45), "the brain would be 0.4., 0.4., 0.4. times as large"),
        pytest.param((1, 1, 0.5), "", marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_a_brain_with_wrong_voxel_sizes_is_refused(
    factors: tuple[float, float, float], reason: str
) -> None:
    volume = volume_of(coarse())
    squeezed = np.diag([*factors, 1.0]) @ volume.affine
    message = f"registration to MNI152 failed: {reason}.*with the right voxel sizes"
    with pytest.raises(BadScanError, match=message):
        register(crop_brain(replace(volume, affine=squeezed)))


def test_inverted_contrast_is_refused() -> None:
    volume = volume_of(coarse())
    data = np.where(volume.data > 0, 1.05 * volume.data.max() - volume.data, 0)
    with pytest.raises(BadScanError, match="registration to MNI152 failed"):
        register(crop_brain(replace(volume, data=data.astype(np.float32))))


@pytest.mark.skipif(not CASE.exists(), reason="../shared/cases is absent")
@pytest.mark.parametrize(
    "flip", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["stored", "flipped"]
)
def test_a_brain_from_which_long_steps_leapt_registers(flip: bool) -> None:
    """The first long step from its good start once led to a quarter of its size."""
    brain = crop_brain(load_volume(CASE))
    if flip:
        data, affine = np.flip(brain.image.data, 0), brain.image.affine.copy()
        affine[:3, 3] += affine[:3, 0] * (data.shape[0] - 1)
        affine[:3, 0] *= -1
        brain = crop_brain(Volume(np.ascontiguousarray(data), affine))
    registration = register(brain)
    assert registration.correlation > DOUBTFUL_CORRELATION
    assert registration.starts == 1
    assert min(registration.scales) > 0.75


def _score(volume: Volume) -> float:
    try:
        return register(crop_brain(volume)).correlation
    except BadScanError:
        return 0.0
