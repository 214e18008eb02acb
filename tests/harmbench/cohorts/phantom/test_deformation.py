import numpy as np
import torch

from harmbench.cohorts.phantom.deformation import flow
from harmbench.cohorts.phantom.lattice import Lattice
from harmbench.cohorts.phantom.smooth_field import SmoothField
from harmbench.data.scans import Grid

GRID = Grid("block", (24, 32, 32), (2.4, 2.4, 2.4))


def field(seed: int, spacing: float) -> SmoothField:
    return SmoothField.draw(np.random.default_rng(seed), spacing, 3)


def test_however_large_nothing_folds():
    """The Jacobian stays positive where the plain displacement folds."""
    lattice = Lattice.of(GRID)
    velocity = field(0, 20.0)

    def smallest(displacement: torch.Tensor) -> float:
        step = lattice.spacing[0]
        gradient = torch.stack(
            [torch.stack(torch.gradient(part, spacing=step)) for part in displacement]
        )
        jacobian = gradient.flatten(2).permute(2, 0, 1) + torch.eye(3)
        return float(torch.linalg.det(jacobian).min())

    assert smallest(10.0 * velocity.on(lattice.axes)) < 0
    assert smallest(flow([(10.0, velocity)], lattice.axes)) > 0


def test_the_flow_of_a_constant_velocity_is_that_velocity():
    velocity = field(0, 45.0)
    constant = SmoothField(np.full_like(velocity.coefficients, 2.0), 45.0)
    displacement = flow([(1.5, constant)], Lattice.of(GRID).axes)
    torch.testing.assert_close(displacement, torch.full_like(displacement, 3.0))


def test_small_velocities_displace_by_themselves():
    axes = Lattice.of(GRID).axes
    velocity = field(1, 45.0)
    displacement = flow([(0.1, velocity)], axes)
    torch.testing.assert_close(displacement, 0.1 * velocity.on(axes), rtol=0, atol=5e-3)
