"""Hashes, seeds, the grid and slice normalisation: what everything else stands on."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import harmbench
from harmbench.data.scans import GRIDS, minmax
from harmbench.util.hashing import canonical, digest
from harmbench.util.seeds import derive, numpy_generator, seeded, torch_generator


def test_digests_do_not_depend_on_the_process():
    code = "from harmbench.util.hashing import digest; print(digest({'b': {2, 1}, 'a': 0.1}, None))"
    outputs = {
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True,
                       env={"PYTHONHASHSEED": seed}).stdout.strip()
        for seed in ("1", "2")
    }  # fmt: skip
    assert outputs == {digest({"a": 0.1, "b": {1, 2}}, None)}


def test_what_has_no_fixed_form_is_refused():
    with pytest.raises(TypeError, match="object has no canonical form"):
        canonical({"a": object()})


def test_streams_differ_by_seed_and_axes_and_repeat():
    assert derive(0, "a", "b") != derive(0, "ab")
    assert len({derive(seed, "x", axis) for seed in range(20) for axis in range(20)}) == 400
    assert (numpy_generator(1, "a").random(4) == numpy_generator(1, "a").random(4)).all()
    assert torch.equal(*(torch.rand(4, generator=torch_generator(1, "a")) for _ in range(2)))


def test_seeded_blocks_repeat_and_leave_the_outer_stream_alone():
    torch.manual_seed(5)
    expected = torch.rand(2)
    torch.manual_seed(5)
    drawn = []
    for _ in range(2):
        with seeded(3, "block"):
            drawn.append(torch.rand(3))
    assert torch.equal(*drawn)
    assert torch.equal(torch.rand(2), expected)


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
    middle = [o + (n - 1) / 2 * s for o, n, s in
              zip(paper.origin, (144, 176, 50), (1.2, 1.2, 1.2), strict=True)]  # fmt: skip
    assert middle == pytest.approx(paper.centre)


def test_everything_public_can_be_imported():
    assert all(getattr(harmbench, name) is not None for name in harmbench.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        harmbench.nonsense  # noqa: B018
