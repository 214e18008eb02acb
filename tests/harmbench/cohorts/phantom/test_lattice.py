import pytest
import torch

from harmbench.cohorts.phantom.lattice import Lattice, coarse_axes, interpolate, points_of, sample
from harmbench.data.scans import GRIDS, Grid


def test_lattice_averages_to_the_grid_it_refines():
    grid = Grid("tiny", (6, 36, 44), (2.4, 4.8, 4.8))
    lattice = Lattice.of(grid)
    assert lattice.factors == (2, 4, 4)
    for axis, points in enumerate(lattice.mesh()):
        averaged = lattice.to_grid(points.expand(lattice.shape))
        assert averaged.shape == grid.shape
        profile = averaged.movedim(axis, 0).flatten(1)
        x, y, z = grid.origin
        start, step = (z, x, y)[axis], grid.spacing[axis]
        expected = start + step * torch.arange(grid.shape[axis])
        torch.testing.assert_close(profile, expected[:, None].expand_as(profile))


def test_lattice_of_the_paper_grid_is_the_grid_and_a_margin():
    lattice = Lattice.of(GRIDS["paper"])
    assert lattice.factors == (1, 1, 1)
    assert lattice.shape == (54, 148, 180)
    assert lattice.spacing == pytest.approx((1.2, 1.2, 1.2), abs=1e-4)
    torch.testing.assert_close(lattice.axes[0][2:-2], torch.tensor(GRIDS["paper"].positions))


def linear(points: torch.Tensor) -> torch.Tensor:
    """A function that linear interpolation meets exactly."""
    z, x, y = points
    return torch.stack([1 + 2 * z - x + 0.5 * y, x])


def test_interpolation_and_sampling_are_exact_for_linear_functions(tiny):
    axes = Lattice.of(tiny).axes
    coarse = coarse_axes(axes, 8.0, 4.0)
    values = linear(points_of(coarse))
    expected = linear(points_of(axes))
    torch.testing.assert_close(interpolate(values, coarse, axes), expected, rtol=0, atol=1e-3)
    torch.testing.assert_close(sample(values, coarse, points_of(axes)), expected, rtol=0, atol=1e-3)


def test_coarse_places_cover_the_axes_and_are_shared_between_grids():
    axes = (torch.arange(3.0, 30), torch.arange(-7.0, 8), torch.arange(0.0, 9))
    for axis, points in zip(axes, coarse_axes(axes, 4.0, 2.0), strict=True):
        assert float(points[0]) <= float(axis[0]) - 2
        assert float(points[-1]) >= float(axis[-1]) + 2
        assert (points % 4 == 0).all()
