"""Resampling: points, means, masks and tissue labels on the grid."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from harmbench.data.scans import GRIDS
from harmbench.preprocessing.brain import crop_brain
from harmbench.preprocessing.nifti_read import Volume
from harmbench.preprocessing.normalization import NORMALIZATIONS
from harmbench.preprocessing.registration import Registration
from harmbench.preprocessing.resampling import (
    grid_affine,
    resample,
    resample_brain,
    resample_labels,
)
from helpers.volumes import coarse, labelled, template, volume_of

IDENTITY = Registration(tuple(tuple(float(x) for x in row) for row in np.eye(4)), 1.0)


@pytest.mark.parametrize("name", ["quick", "paper"])
def test_a_point_of_mni_lands_in_its_voxel(name: str) -> None:
    grid = GRIDS[name]
    point = np.array([21.0, -35.0, 12.0])
    axes = np.meshgrid(*[np.arange(n) for n in (197, 233, 189)], indexing="ij")
    affine = template()[1]
    centre = np.linalg.solve(affine, [*point, 1])[:3]
    blob = np.exp(-sum((axis - p) ** 2 for axis, p in zip(axes, centre, strict=True)) / (2 * 3**2))
    result = resample(Volume(blob.astype(np.float32), affine), grid_affine(grid), grid.shape)
    weights = result / result.sum()
    centre = [
        (weights.sum(tuple({0, 1, 2} - {k})) * np.arange(n)).sum()
        for k, n in enumerate(result.shape)
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
    result = resample(Volume(stripes, np.eye(4)), target, (12, 12, 12))
    np.testing.assert_allclose(result, 0.5, atol=1e-6)


def test_an_equal_lattice_changes_nothing_and_outside_is_zero() -> None:
    data = np.random.default_rng(0).uniform(1, 2, (5, 6, 7)).astype(np.float32)
    affine = np.eye(4)
    affine[:3, :3] = Rotation.from_euler("x", 20, degrees=True).as_matrix() @ np.diag([1, 2, 3])
    np.testing.assert_allclose(resample(Volume(data, affine), affine, (5, 6, 7)), data, atol=1e-5)
    aside = affine @ np.array([[1, 0, 0, 20], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]])
    assert not resample(Volume(data, affine), aside, (5, 6, 7)).any()


def test_the_grid_holds_intensities_mask_and_tissues() -> None:
    volume = Volume(*template())
    volume = replace(volume, data=3000 * volume.data)
    brain = crop_brain(volume)
    labels = tuple(
        brain.crop(((volume.data > low) & (volume.data <= high)).astype(np.float32))
        for low, high in ((0, 1500), (1500, 2250), (2250, 9999))
    )
    image, mask = resample_brain(brain, IDENTITY, GRIDS["quick"])
    assert image.shape == mask.shape == (50, 72, 88)
    assert image.dtype == np.float32
    assert image.max() > 2000
    assert image[mask].min() > 0
    assert not image[~mask].any()
    # The template's own mask has 1.2 litres in this slab, and the grid's voxel 6.912 mm^3.
    slab = volume.data[:, :, 61:119] > 0
    litres = mask.sum() * 6.912e-6
    assert litres == pytest.approx(slab.sum() * (60 / 58) * 1e-6, rel=0.03)
    tissues = resample_labels(labels, mask, brain, IDENTITY, GRIDS["quick"])
    assert tissues.dtype == np.uint8
    assert not tissues[~mask].any()
    means = [image[tissues == tissue].mean() for tissue in (1, 2, 3)]
    assert means == sorted(means)


def test_labels_follow_the_image() -> None:
    """Tissue means of the image are as far apart on the grid as in the file."""
    volume, labels = volume_of(coarse()), volume_of(labelled(coarse()))
    brain = crop_brain(volume)
    tissues = tuple(brain.crop((labels.data == k).astype(np.float32)) for k in (1, 2, 3))
    image, mask = resample_brain(brain, IDENTITY, GRIDS["quick"])
    image = NORMALIZATIONS["minmax"](image, mask)
    np.testing.assert_allclose(image.max(axis=(1, 2)), 1)
    on_grid = resample_labels(tissues, mask, brain, IDENTITY, GRIDS["quick"])
    flat = [image[on_grid == k].mean() for k in (1, 2, 3)]
    assert flat[1] - flat[0] > 0.15
    assert flat[2] - flat[1] > 0.15
