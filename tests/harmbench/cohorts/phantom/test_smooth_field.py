import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from harmbench.cohorts.phantom.lattice import Lattice, points_of
from harmbench.cohorts.phantom.smooth_field import SmoothField
from harmbench.data.scans import Grid


def test_constant_coefficients_make_a_constant_field(tiny):
    drawn = SmoothField.draw(np.random.default_rng(0), 20.0)
    field = SmoothField(np.full_like(drawn.coefficients, 3.0), 20.0).on(Lattice.of(tiny).axes)
    torch.testing.assert_close(field, torch.full_like(field, 3.0))


@settings(deadline=None, max_examples=8)
@given(st.integers(0, 2**32), st.sampled_from([8.0, 12.0]))
def test_fields_have_unit_variance_and_are_smooth(seed, spacing):
    lattice = Lattice.of(Grid("wide", (12, 36, 44), (9.6, 4.8, 4.8)))
    field = SmoothField.draw(np.random.default_rng(seed), spacing).on(lattice.axes)[0]
    assert field.std() == pytest.approx(1.0, abs=0.15)
    # White noise would step by 1.4; this steps by about 1.2 of the voxel over the spacing.
    assert 0.9 < (field[:, 1:] - field[:, :-1]).std() * spacing / 1.2 < 1.7


def test_a_field_is_the_same_on_every_grid():
    """Different steps and extents: the coarse points that both have, have the same values."""
    field = SmoothField.draw(np.random.default_rng(1), 16.0)
    wide = field.on(Lattice.of(Grid("a", (5, 9, 9), (1.2, 1.2, 1.2))).axes)
    narrow = field.on(Lattice.of(Grid("b", (3, 5, 5), (1.2, 1.2, 1.2))).axes)
    torch.testing.assert_close(wide[:, 1:-1, 2:-2, 2:-2], narrow, rtol=0, atol=1e-4)


def test_values_at_places_are_those_on_axes_also_beyond_the_box():
    field = SmoothField.draw(np.random.default_rng(2), 30.0, 2)
    axes = (torch.linspace(-90, 130, 6), torch.linspace(-120, 120, 7), torch.linspace(-150, 120, 5))
    torch.testing.assert_close(field.at(points_of(axes)), field.on(axes), rtol=0, atol=1e-4)
