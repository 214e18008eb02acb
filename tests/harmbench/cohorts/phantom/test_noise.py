import torch

from harmbench.cohorts.phantom.lattice import Lattice
from harmbench.cohorts.phantom.noise import draw_noise, noise_level
from harmbench.cohorts.phantom.pose import CENTRE
from harmbench.data.scans import Grid


def test_noise_has_unit_variance_and_correlates_between_neighbours_only():
    noise = draw_noise(0, Lattice.of(Grid("block", (20, 40, 40), (1.2, 1.2, 1.2))))
    inner = noise[:, 2:-2, 2:-2, 2:-2]
    assert abs(float(inner.std()) - 1) < 0.02
    assert 0.1 < float((inner[..., 1:] * inner[..., :-1]).mean()) < 0.6
    assert abs(float((inner[..., 4:] * inner[..., :-4]).mean())) < 0.03
    assert abs(float((inner[0] * inner[1]).mean())) < 0.03


def test_acceleration_raises_the_noise_in_the_middle():
    places = torch.tensor(CENTRE)[:, None] + torch.tensor([[0.0, 0, 0], [0, 70, 0]]).T
    places = places[:, :, None, None]
    zero = torch.zeros(2, 1, 1)
    middle, side = noise_level(places, 0.5, zero).flatten()
    assert abs(float(middle) - 1.5) < 1e-6
    assert 1 < side < 1.2
    assert (noise_level(places, 0.0, zero) == 1).all()


def test_a_correction_divides_the_noise():
    places = torch.tensor(CENTRE)[:, None, None, None]
    level = noise_level(places, 0.0, torch.full((1, 1, 1), 0.7))
    torch.testing.assert_close(level, torch.full((1, 1, 1), -0.7).exp())
