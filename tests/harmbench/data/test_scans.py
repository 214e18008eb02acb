"""Grids, and min-max normalisation of slices."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from harmbench.data.scans import GRIDS, minmax


@given(st.integers(0, 2**31), st.floats(0.1, 50), st.floats(-5, 5))
def test_minmax_undoes_any_gain_and_offset(seed, gain, offset):
    x = minmax(torch.rand(2, 3, 5, generator=torch.Generator().manual_seed(seed)).double())
    assert x.amin() == 0
    assert x.amax() == 1
    torch.testing.assert_close(minmax(gain * x + offset), x)


def test_minmax_of_a_constant_slice_is_zero():
    assert torch.equal(minmax(torch.full((1, 4, 4), 0.3)), torch.zeros(1, 4, 4))


def test_the_grids_are_the_papers_and_half_of_it():
    paper, quick = GRIDS["paper"], GRIDS["quick"]
    assert (paper.shape, paper.spacing) == ((50, 144, 176), (1.2, 1.2, 1.2))
    assert (quick.shape, quick.spacing) == ((50, 72, 88), (1.2, 2.4, 2.4))
    assert paper.positions == quick.positions
    assert paper.positions[1] - paper.positions[0] == pytest.approx(1.2)
    middle = [
        o + (n - 1) / 2 * s
        for o, n, s in zip(paper.origin, (144, 176, 50), (1.2, 1.2, 1.2), strict=True)
    ]
    assert middle == pytest.approx(paper.centre)
