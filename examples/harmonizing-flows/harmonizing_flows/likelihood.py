"""Bits per dimension of harmonised slices under the target's flow, and what they should be."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

from harmbench import Scans, ScanSet
from harmbench_methods.blindharmony.flow.flow import Flow


def bits(flow: Flow, x: Tensor, noise: Tensor) -> Tensor:
    """Return the bits per dimension `(B,)` of slices `(B, H, W)`, with a gradient to them.

    As `Flow.bits_per_dimension`, but for the rounding to grey levels, which has none.
    """
    nats: Tensor = -flow.log_prob(flow.dequantize(x, noise)) / flow.dimension
    return nats / math.log(2) + math.log2(flow.grey_levels + 1)


def each(*sets: ScanSet) -> Iterator[Scans]:
    """Yield all scans, one at a time."""
    for scans in sets:
        yield from scans.batches()


@torch.no_grad()
def natural_bits(
    flow: Flow, scans: Iterable[Scans], generator: torch.Generator
) -> tuple[Tensor, float]:
    """Return what scans cost by nature, and how far one may be from that.

    Returns
    -------
    tuple
        Mean bits per dimension at each of the S slices, `(S,)`: slices with much brain cost
        more than others, so that an average over all would say nothing of some. And the
        deviation, over scans, of how much more a scan costs than the mean: 0 of one alone.
    """
    found = []
    device = next(flow.parameters()).device
    for scan in scans:
        image = scan.images[0].to(device)
        noise = torch.rand(image.shape, generator=generator).to(image)
        found.append(bits(flow, image, noise))
    costs = torch.stack(found)
    mean = costs.mean(dim=0)
    return mean, float((costs - mean).mean(dim=1).square().sum() / max(1, len(costs) - 1)) ** 0.5
