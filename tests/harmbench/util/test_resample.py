from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from harmbench.data.scans import GRIDS
from harmbench.util.resample import resample, resample_inside
from helpers.volumes import template


@pytest.mark.parametrize("name", ["quick", "paper"])
def test_a_point_of_mni_lands_in_its_voxel(name: str) -> None:
    grid = GRIDS[name]
    point = np.array([21.0, -35.0, 12.0])
    axes = np.meshgrid(*[np.arange(n) for n in (197, 233, 189)], indexing="ij")
    affine = template()[1]
    centre = np.linalg.solve(affine, [*point, 1])[:3]
    blob = np.exp(-sum((axis - p) ** 2 for axis, p in zip(axes, centre, strict=True)) / (2 * 3**2))
    result = resample(blob.astype(np.float32), affine, grid.affine, grid.shape)
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
    result = resample(stripes, np.eye(4), target, (12, 12, 12))
    np.testing.assert_allclose(result, 0.5, atol=1e-6)


def test_an_equal_lattice_changes_nothing_and_outside_is_zero() -> None:
    data = np.random.default_rng(0).uniform(1, 2, (5, 6, 7)).astype(np.float32)
    affine = np.eye(4)
    affine[:3, :3] = Rotation.from_euler("x", 20, degrees=True).as_matrix() @ np.diag([1, 2, 3])
    np.testing.assert_allclose(resample(data, affine, affine, (5, 6, 7)), data, atol=1e-5)
    aside = affine @ np.array([[1, 0, 0, 20], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]])
    assert not resample(data, affine, aside, (5, 6, 7)).any()


def test_the_edge_of_a_mask_keeps_its_brightness() -> None:
    data = np.zeros((12, 12, 12), np.float32)
    mask = np.zeros(data.shape, bool)
    mask[3:9, 3:9, 3:9] = True
    data[mask] = 7.0
    shifted = np.eye(4)
    shifted[:3, 3] = 0.3
    values, fraction = resample_inside(data, mask, np.eye(4), shifted, (12, 12, 12))
    edge = (fraction >= 0.5) & (fraction < 1)
    assert edge.any()
    np.testing.assert_allclose(values[fraction >= 0.5], 7.0, atol=1e-5)
