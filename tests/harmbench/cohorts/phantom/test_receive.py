import numpy as np
import torch

from harmbench.cohorts.phantom.pose import CENTRE
from harmbench.cohorts.phantom.receive import Coil

COIL = Coil(12, 60.0, 0.0, 0.0)


def column(*offsets: tuple[float, float, float]) -> torch.Tensor:
    """Places at offsets from the centre: `(3, N, 1, 1)`."""
    points = torch.tensor(CENTRE)[:, None] + torch.tensor(offsets).T
    return points[:, :, None, None]


def test_an_array_is_brightest_at_the_surface_and_zero_at_the_centre():
    points = column((0, 0, 0), (0, 60, 0), (0, -60, 0), (0, 0, 70), (50, 0, 0))
    values = COIL.sensitivity(points, (0.0,) * 12).flatten()
    assert values[0].abs() < 1e-6
    assert (values[1:] > 0.2).all()


def test_wide_loops_receive_more_evenly():
    points = column((0, 60, 0))
    wide = Coil(8, 200.0, 0.0, 0.0).sensitivity(points, (0.0,) * 8)
    assert abs(float(wide)) < 0.3 * float(COIL.sensitivity(points, (0.0,) * 12))


def test_a_single_loop_falls_as_on_its_axis():
    single = Coil(1, 50.0, 0.0, 0.0)
    (loop,) = single._positions()
    near = torch.tensor(loop)[:, None, None, None]
    inward = (torch.tensor(CENTRE) - torch.tensor(loop)) / torch.tensor(
        np.linalg.norm(np.array(CENTRE) - np.array(loop)), dtype=torch.float32
    )
    far = near + 50 * inward[:, None, None, None]
    ratio = (single.sensitivity(far, (0.0,)) - single.sensitivity(near, (0.0,))).exp()
    assert float(ratio) == np.float32(2**-1.5) or abs(float(ratio) - 2**-1.5) < 1e-5


def test_gains_tilt_the_field_and_scatter_as_asked():
    loops = COIL._positions()
    gains = tuple(0.3 if loop[1] > 0 else -0.3 for loop in loops)
    right, left = COIL.sensitivity(column((0, 50, 0), (0, -50, 0)), gains).flatten()
    assert right > left + 0.2
    drawn = Coil(400, 60.0, 0.2, 0.0).draw_gains(np.random.default_rng(0))
    assert abs(np.std(drawn) - 0.2) < 0.03
