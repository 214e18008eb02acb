"""Random streams are derived from the seed and their axes."""

from __future__ import annotations

import pytest
import torch

from harmbench.util.seeds import derive, numpy_generator, seeded, torch_generator


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


def test_a_process_that_uses_no_gpu_opens_none(monkeypatch):
    # torch warns of several GPUs, and reads their states, if they are not named.
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: False)
    opened = []
    monkeypatch.setattr(torch.cuda, "get_rng_state", opened.append)
    with seeded(3, "block"):
        torch.rand(3)
    assert not opened


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_blocks_on_a_gpu_repeat_and_leave_its_outer_stream_alone():
    torch.cuda.init()
    torch.manual_seed(5)
    expected = torch.rand(2, device="cuda")
    torch.manual_seed(5)
    drawn = []
    for _ in range(2):
        with seeded(3, "block"):
            drawn.append(torch.rand(3, device="cuda"))
    assert torch.equal(*drawn)
    assert torch.equal(torch.rand(2, device="cuda"), expected)
