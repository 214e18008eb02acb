"""Gradients by CUDA graphs equal those without, and a loss that cannot be captured still trains."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from harmbench import FitProgress, Phase, SliceBatches, torch_generator, train

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]
STEPS = 40


class Trained:
    """A small network with two kinds of noise, trained on the GPU."""

    def __init__(self, target, kills, *, cuda_graph, micro_batches=1, reads=False, device="cuda"):
        device = torch.device(device)
        torch.manual_seed(3)
        layers = nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.Conv2d(8, 1, 1)
        self.model = nn.Sequential(*layers).to(device)
        self.calls = 0
        noise = torch.Generator(device).manual_seed(0)

        def loss(x):
            self.calls += 1
            u = torch.randn(x.shape, generator=noise, device=device)
            dropped = nn.functional.dropout(x + 0.1 * u, 0.2)  # torch's own generator
            value = (self.model(dropped[:, None])[:, 0] - x).square().mean()
            return 2 * value if reads and value.item() > 1e6 else value

        batches = SliceBatches(
            target, size=8, device=device, generator=torch_generator(0, "batches")
        )
        optimizer = torch.optim.Adam(self.model.parameters(), lr=1e-3)
        shown = kills()
        progress = FitProgress(shown)
        train(
            self.model,
            batches,
            Phase(loss=loss, optimizer=optimizer, max_norm=1.0, cuda_graph=cuda_graph),
            progress,
            name="graph",
            steps=STEPS,
            keep=[noise],
            micro_batches=micro_batches,
        )
        self.losses = [point.value for point in progress.curves if point.name == "loss"]
        self.lines = shown.lines

    def assert_close(self, other):
        assert self.losses == pytest.approx(other.losses, rel=1e-3)
        for name, value in self.model.state_dict().items():
            torch.testing.assert_close(other.model.state_dict()[name], value, rtol=1e-2, atol=1e-4)


@pytest.mark.parametrize("micro_batches", [1, 2, 3])
def test_a_training_by_a_graph_equals_one_without(target, kills, micro_batches):
    without, graphed = (
        Trained(target, kills, cuda_graph=graph, micro_batches=micro_batches)
        for graph in (False, True)
    )
    assert without.calls == STEPS * micro_batches
    assert graphed.calls < STEPS  # the loss is called no more, once the graph is captured
    assert graphed.lines == without.lines
    graphed.assert_close(without)


def test_a_loss_that_reads_a_value_is_computed_without_a_graph(target, kills):
    without, graphed = (
        Trained(target, kills, cuda_graph=graph, reads=True) for graph in (False, True)
    )
    assert graphed.calls == STEPS + 1  # and once in vain
    assert any("no CUDA graph" in line for line in graphed.lines)
    graphed.assert_close(without)
    # What this process computes later is not affected.
    assert torch.cuda.current_stream() == torch.cuda.default_stream()
    torch.empty(2**28, dtype=torch.uint8, device="cuda")
    reserved = torch.cuda.memory_reserved()
    torch.cuda.empty_cache()
    assert torch.cuda.memory_reserved() <= reserved - 2**28
    assert Trained(target, kills, cuda_graph=True).calls < STEPS


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="one CUDA device")
def test_a_graph_is_captured_on_a_gpu_that_is_not_the_current_one(target, kills):
    without, graphed = (
        Trained(target, kills, cuda_graph=graph, device="cuda:1") for graph in (False, True)
    )
    assert graphed.calls < STEPS
    graphed.assert_close(without)
    assert torch.cuda.current_device() == 0
