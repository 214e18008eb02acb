"""The dark layer of its skull distinguishes a small head from a brain."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from scipy import ndimage

from harmbench.preprocessing.head_detection import contains_skull, layer_levels, skull_dip
from harmbench.preprocessing.masking import BrainSource, HeadError, load_masked
from harmbench.preprocessing.nifti_read import Volume
from helpers import BRAINS
from helpers.volumes import coarse, sampled

Array = np.ndarray[Any, Any]
CHILD = np.diag([0.8, 0.8, 0.8, 1.0])


def child(head: Any, least: float, bottom: float = -200.0) -> Volume:
    """A head of a child's size, cut below `bottom` mm; zero below a share of the brightest."""
    data = np.asarray(head.dataobj).copy()
    data[data < least * np.percentile(data, 99)] = 0
    z = head.affine[2, 3] + 3.0 * np.arange(data.shape[2])
    data[:, :, z < bottom] = 0
    components, _ = ndimage.label(data)
    data[components != np.bincount(components[data > 0]).argmax()] = 0
    return Volume(data, CHILD @ head.affine)


@pytest.mark.parametrize(("least", "bottom"), [(0.05, -110.0), (0.05, -60.0), (0.15, -110.0)])
def test_a_head_as_small_as_a_brain_has_a_skull(head: Any, least: float, bottom: float) -> None:
    volume = child(head, least, bottom)
    assert np.count_nonzero(volume.data) * volume.voxel_volume < 2.2e6
    assert contains_skull(volume, volume.data != 0)


def test_a_small_head_with_suppressed_fat_is_a_head(head: Any) -> None:
    whole = child(head, 0.05, -60.0)
    brain = sampled(np.eye(4), head.affine, head.shape) > 0
    inside = ndimage.distance_transform_edt(~brain, sampling=3.0) <= 5
    for left in (0.02, 0.1, 0.25):  # of the intensity of fat
        data = np.where(inside, whole.data, left * whole.data).astype(np.float32)
        volume = Volume(data, whole.affine)
        assert np.count_nonzero(data) * volume.voxel_volume < 2.2e6
        assert contains_skull(volume, data != 0), left


def with_hole(data: Array) -> Array:
    x, y, z = np.indices(data.shape) - np.array([30, 38, 30]).reshape(3, 1, 1, 1)
    return np.where((x**2 + y**2 + z**2 < 6**2) & (data > 0), 1e-3, data)


def standardized(data: Array) -> Array:
    values = data[data > 0]
    return np.where(data > 0, (data - values.mean()) / values.std(), 0)


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data,
        with_hole,
        standardized,
        lambda data: np.where(data > 0, 1.2 * data.max() - data, 0),
        lambda data: np.where(data > 0.4 * data.max(), data, 0),
    ],
    ids=["unchanged", "hole", "standardized", "inverted", "without CSF"],
)
def test_a_brain_has_no_skull(change: Callable[[Array], Array]) -> None:
    image = coarse()
    volume = Volume(change(np.asarray(image.dataobj)).astype(np.float32), image.affine)
    assert not contains_skull(volume, volume.data != 0)


def test_a_constant_has_no_dip() -> None:
    ball = np.zeros((20, 20, 20), np.float32)
    ball[4:16, 4:16, 4:16] = 1
    volume = Volume(ball, np.diag([5.0, 5.0, 5.0, 1.0]))
    assert skull_dip(layer_levels(volume, ball > 0)) == 0
    assert not contains_skull(volume, ball > 0)


def test_a_small_head_is_not_taken_for_a_brain(head: Any, tmp_path: Path) -> None:
    volume = child(head, 0.05, -110.0)
    path = tmp_path / "child_T1w.nii"
    nib.save(nib.Nifti1Image(volume.data, volume.affine), path)
    with pytest.raises(HeadError, match="child_T1w.nii"):
        load_masked(BrainSource.of(path, None, {path: "child"}), tmp_path)


CASES = BRAINS.parent / "cases"


@pytest.mark.skipif(not CASES.exists(), reason="../shared/cases is absent")
@pytest.mark.parametrize("change", ["suppressed fat", "dark scalp", "grazed frontal lobe"])
def test_an_unusual_head_of_an_adult_is_a_head(change: str, tmp_path: Path) -> None:
    image: Any = nib.load(CASES / "head_T1w.nii.gz")
    other: Any = nib.load(CASES / "head_brain_by_another_tool_T1w.nii.gz")
    data = np.asarray(image.dataobj).astype(np.float32)
    brain = np.asarray(other.dataobj) > 0
    around = ~ndimage.binary_dilation(brain, iterations=4)
    if change == "suppressed fat":
        data[around & (data > 0.6 * np.percentile(data[brain], 80))] *= 0.1
    elif change == "dark scalp":
        data[around] *= 0.1
    else:
        y, z = (np.argwhere(brain)[:, axis] for axis in (1, 2))
        _, j, k = np.indices(data.shape, sparse=True)
        # A plane behind the face, through the lowest 12 mm of the frontal pole.
        removed = (j - (y.max() - 12)) + 0.9 * (np.percentile(z, 30) + 25 - k) > 0
        removed = removed & (j > y.mean())
        assert 0.02 < (removed & brain).sum() / brain.sum() < 0.1
        data = np.where(removed, np.float32(0), data)
    path = tmp_path / "head_T1w.nii"
    nib.save(nib.Nifti1Image(data, image.affine), path)
    with pytest.raises(HeadError, match="head_T1w.nii"):
        load_masked(BrainSource.of(path, None, {path: "head"}), tmp_path)
