import math

import pytest
import torch

from harmbench.cohorts.phantom.blur import blur
from harmbench.cohorts.phantom.lattice import Lattice
from harmbench.data.scans import Grid


@pytest.fixture
def lattice() -> Lattice:
    return Lattice.of(Grid("block", (17, 27, 37), (1.2, 1.2, 1.2)))


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_point_spreads_to_the_width_along_an_axis(axis, lattice):
    widths = tuple(3.0 if number == axis else 0.0 for number in range(3))
    point = torch.zeros(lattice.shape)
    middle = tuple(count // 2 for count in lattice.shape)
    point[middle] = 1
    blur(point, widths, lattice)
    assert float(point.sum()) == pytest.approx(1, abs=1e-5)
    others = [number for number in range(3) if number != axis]
    offset = 1.2 * (torch.arange(lattice.shape[axis]) - middle[axis])
    variance = float((point.sum(others) * offset**2).sum())
    assert variance == pytest.approx(9 / (8 * math.log(2)), rel=1e-3)
