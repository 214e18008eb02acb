"""Deformations of volumes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from harmbench.data.scans import Grid
from harmbench_tasks.deformation import fade, gradient, signed_distance, warped

GRID = Grid("small", (5, 6, 7), (2.0, 1.0, 3.0))


def test_a_displacement_of_one_voxel_moves_by_one_voxel():
    volume = torch.rand(GRID.shape)
    for axis, step in enumerate(GRID.spacing):
        displacement = np.zeros((3, *GRID.shape), np.float32)
        displacement[axis] = step
        moved = warped(volume, displacement, GRID)
        expected = volume.roll(-1, dims=axis).narrow(axis, 0, GRID.shape[axis] - 1)
        got = moved.narrow(axis, 0, GRID.shape[axis] - 1)
        assert got.numpy() == pytest.approx(expected.numpy(), abs=1e-5)


def test_no_displacement_changes_nothing():
    volume = torch.rand(GRID.shape)
    still = warped(volume, np.zeros((3, *GRID.shape), np.float32), GRID)
    assert still.numpy() == pytest.approx(volume.numpy(), abs=1e-5)


def test_distances_are_in_millimetres():
    region = np.zeros(GRID.shape, bool)
    region[2, 3, 3] = True
    distance = signed_distance(region, GRID)
    assert distance[2, 3, 3] < 0
    assert distance[4, 3, 3] == pytest.approx(4)
    assert distance[2, 3, 5] == pytest.approx(6)
    assert gradient(distance, GRID)[2, 2, 3, 5] == pytest.approx(1)


def test_the_ends_of_the_stack_are_no_edge_of_the_brain():
    mask = np.zeros(GRID.shape, bool)
    mask[:, 1:-1, 1:-1] = True
    weight = fade(mask, GRID, 2.0)
    assert weight[0, 3, 3] == weight[2, 3, 3] == 1
    assert weight[0, 1, 3] == 0.5
