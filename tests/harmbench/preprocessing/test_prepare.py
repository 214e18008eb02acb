"""Geometry, registration and normalisation of one volume."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from harmbench.data.scans import GRIDS
from harmbench.errors import BadScanError
from harmbench.preprocessing.masking import extract
from harmbench.preprocessing.nifti_read import Volume, load_volume, only_brain
from harmbench.preprocessing.prepare import prepare
from harmbench.preprocessing.registration import DOUBTFUL_CORRELATION, Registration, register
from harmbench.preprocessing.resampling import grid_affine, resample
from helpers.volumes import coarse, labelled, sampled, template

IDENTITY = Registration(tuple(tuple(float(x) for x in row) for row in np.eye(4)), 1.0)
PSR = np.array([[0, 0, 1], [-1, 0, 0], [0, 1, 0]])
LAS = np.diag([-1, 1, 1])


def turn(axis: int, degrees: float) -> np.ndarray:
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    i, j = (axis + 1) % 3, (axis + 2) % 3
    matrix = np.eye(4)
    matrix[[i, i, j, j], [i, j, i, j]] = [c, -s, s, c]
    return matrix


@pytest.mark.parametrize("name", ["quick", "paper"])
def test_a_point_of_mni_lands_in_its_voxel(name: str) -> None:
    grid = GRIDS[name]
    point = np.array([21.0, -35.0, 12.0])
    axes = np.meshgrid(*[np.arange(n) for n in (197, 233, 189)], indexing="ij")
    affine = template()[1]
    place = np.linalg.solve(affine, [*point, 1])[:3]
    blob = np.exp(-sum((axis - p) ** 2 for axis, p in zip(axes, place, strict=True)) / (2 * 3**2))
    found = resample(Volume(blob.astype(np.float32), affine), grid_affine(grid), grid.shape)
    weights = found / found.sum()
    centre = [
        (weights.sum(tuple({0, 1, 2} - {k})) * np.arange(n)).sum()
        for k, n in enumerate(found.shape)
    ]
    # From the Grid's own words: S is z, H is x, W is y.
    z0, x0, y0 = grid.positions[0], grid.origin[0], grid.origin[1]
    expected = [
        (point[2] - z0) / grid.spacing[0],
        (point[0] - x0) / grid.spacing[1],
        (point[1] - y0) / grid.spacing[2],
    ]
    np.testing.assert_allclose(centre, expected, atol=0.02)


def test_a_coarser_lattice_takes_means_and_so_does_not_alias() -> None:
    stripes = np.zeros((48, 48, 48), np.float32)
    stripes[::2] = 1
    target = np.diag([4.0, 4.0, 4.0, 1.0])
    target[:3, 3] = 1.5
    found = resample(Volume(stripes, np.eye(4)), target, (12, 12, 12))
    np.testing.assert_allclose(found, 0.5, atol=1e-6)


def test_an_equal_lattice_changes_nothing_and_outside_is_zero() -> None:
    data = np.random.default_rng(0).uniform(1, 2, (5, 6, 7)).astype(np.float32)
    affine = turn(0, 20) @ np.diag([1.0, 2.0, 3.0, 1.0])
    np.testing.assert_allclose(resample(Volume(data, affine), affine, (5, 6, 7)), data, atol=1e-5)
    aside = affine @ np.array([[1, 0, 0, 20], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]])
    assert not resample(Volume(data, affine), aside, (5, 6, 7)).any()


def test_specks_are_left_out_and_holes_filled() -> None:
    data = np.zeros((20, 20, 20), np.float32)
    data[4:14, 4:14, 4:14] = 5
    data[8, 8, 8] = 0
    data[18, 18, 18] = 5
    brain = extract(Volume(data, np.eye(4)))
    whole = np.zeros(data.shape, bool)
    whole[brain.box] = brain.mask
    assert whole.sum() == 1000
    assert whole[8, 8, 8]
    assert not whole[18, 18, 18]
    np.testing.assert_allclose(brain.image.affine @ [0, 0, 0, 1], [4, 4, 4, 1])


def test_slices_fill_the_unit_range_and_background_is_zero() -> None:
    volume = Volume(*template())
    volume = replace(volume, data=3000 * volume.data)
    brain = extract(volume)
    labels = tuple(
        brain.cut(((volume.data > low) & (volume.data <= high)).astype(np.float32))
        for low, high in ((0, 1500), (1500, 2250), (2250, 9999))
    )
    prepared = prepare(brain, IDENTITY, GRIDS["quick"], labels)
    assert prepared.image.shape == prepared.mask.shape == (50, 72, 88)
    assert prepared.image.dtype == np.float32
    np.testing.assert_allclose(prepared.image.max(axis=(1, 2)), 1)
    assert prepared.image.min() == 0
    assert not prepared.image[~prepared.mask].any()
    # The template's own mask has 1.2 litres in this slab, and the grid's voxel 6.912 mm^3.
    slab = volume.data[:, :, 61:119] > 0
    litres = prepared.mask.sum() * 6.912e-6
    assert litres == pytest.approx(slab.sum() * (60 / 58) * 1e-6, rel=0.03)
    assert prepared.labels is not None
    assert prepared.labels.dtype == np.uint8
    assert not prepared.labels[~prepared.mask].any()
    means = [prepared.image[prepared.labels == tissue].mean() for tissue in (1, 2, 3)]
    assert means == sorted(means)


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
    brain = extract(only_brain(load_volume(path), path))
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
    brain = extract(_volume(coarse(10)))
    assert register(brain) == register(brain)


def test_what_is_no_brain_does_not_register() -> None:
    ball = np.indices((40, 40, 40)) - 20
    noise = np.random.default_rng(0).uniform(1, 2, (40, 40, 40))
    data = np.where((ball**2).sum(axis=0) < 15**2, noise, 0).astype(np.float32)
    with pytest.raises(BadScanError, match="registration to MNI152 failed"):
        register(extract(Volume(data, np.diag([4.0, 4.0, 4.0, 1.0]))))


def test_a_brain_upside_down_in_its_file_is_at_least_doubtful() -> None:
    volume = _volume(coarse())
    upside_down = replace(volume, data=volume.data[:, :, ::-1].copy())
    assert _score(upside_down) < DOUBTFUL_CORRELATION < _score(volume)


def _score(volume: Volume) -> float:
    try:
        return register(extract(volume)).correlation
    except BadScanError:
        return 0.0


def _volume(image: nib.Nifti1Image) -> Volume:
    image = nib.as_closest_canonical(image)
    return Volume(np.asarray(image.dataobj, dtype=np.float32), image.affine)


def test_labels_follow_the_image() -> None:
    """Tissue means of the image are as far apart on the grid as in the file."""
    volume, labels = _volume(coarse()), _volume(labelled(coarse()))
    brain = extract(volume)
    tissues = tuple(brain.cut((labels.data == k).astype(np.float32)) for k in (1, 2, 3))
    prepared = prepare(brain, IDENTITY, GRIDS["quick"], tissues)
    assert prepared.labels is not None
    flat = [prepared.image[prepared.labels == k].mean() for k in (1, 2, 3)]
    assert flat[1] - flat[0] > 0.15
    assert flat[2] - flat[1] > 0.15
