import torch

from harmbench.cohorts.phantom.lattice import Lattice, points_of
from harmbench.cohorts.phantom.noise import draw_noise, noise_level
from harmbench.cohorts.phantom.pose import CENTRE
from harmbench.data.scans import Grid

POINTS = points_of(Lattice.of(Grid("block", (20, 40, 40), (1.2, 1.2, 1.2))).axes)


def test_noise_is_white_on_acquired_voxels_and_smooth_between_them():
    voxel = (1.0, 1.2, 0.8)
    z, x, y = (size * torch.arange(-20, 20) for size in voxel)
    acquired = draw_noise(0, points_of((z, x, y)), voxel)
    assert abs(float(acquired.std()) - 1) < 0.01
    for axis in (1, 2, 3):
        neighbours = acquired.narrow(axis, 1, 39) * acquired.narrow(axis, 0, 39)
        assert abs(float(neighbours.mean())) < 0.02
    assert abs(float((acquired[0] * acquired[1]).mean())) < 0.02
    between = draw_noise(0, points_of((z + 0.5, x + 0.6, y + 0.4))[..., :-1, :-1, :-1], voxel)
    # The mean of eight.
    assert abs(float(between.std()) - 8**-0.5) < 0.01


def test_the_seed_alone_decides():
    first, again, other = (draw_noise(seed, POINTS, (1.0, 1.0, 1.0)) for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert 0.3 < float(first.std()) < 0.7


def test_acceleration_raises_the_noise_in_the_middle():
    points = torch.tensor(CENTRE)[:, None] + torch.tensor([[0.0, 0, 0], [0, 70, 0]]).T
    points = points[:, :, None, None]
    zero = torch.zeros(2, 1, 1)
    middle, side = noise_level(points, 0.5, zero).flatten()
    assert abs(float(middle) - 1.5) < 1e-6
    assert 1 < side < 1.2
    assert (noise_level(points, 0.0, zero) == 1).all()


def test_a_correction_divides_the_noise():
    points = torch.tensor(CENTRE)[:, None, None, None]
    level = noise_level(points, 0.0, torch.full((1, 1, 1), 0.7))
    torch.testing.assert_close(level, torch.full((1, 1, 1), -0.7).exp())
