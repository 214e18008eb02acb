"""Bits per dimension of slices under the target's flow."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

from harmbench import Scans, ScanSet
from harmbench_methods.blindharmony.flow.flow import Flow


def bits(flow: Flow, x: Tensor, noise: Tensor) -> Tensor:
    """Return the bits per dimension `(B,)` of slices `(B, H, W)`, with a gradient.

    As `Flow.bits_per_dimension`, but without the rounding to grey levels, whose gradient is 0.
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
    """Return the mean bits of real scans by slice, and their standard deviation over scans.

    Returns
    -------
    tuple
        Mean bits per dimension of each slice, `(S,)`, since slices with more brain have more
        bits. And the standard deviation over scans of the scan's mean excess over these; 0 for
        a single scan.
    """
    scan_bits = []
    device = next(flow.parameters()).device
    for scan in scans:
        image = scan.images[0].to(device)
        noise = torch.rand(image.shape, generator=generator).to(image)
        scan_bits.append(bits(flow, image, noise))
    stacked = torch.stack(scan_bits)
    mean = stacked.mean(dim=0)
    excess = (stacked - mean).mean(dim=1)
    return mean, float(excess.square().sum() / max(1, len(excess) - 1)) ** 0.5
