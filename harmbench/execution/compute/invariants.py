"""Properties of every harmonised batch; each cell and `harmbench check` test the same ones."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from harmbench.data.scans import Scans

# Largest difference of two computations of the same output: sums differ in their order.
SAME = 1e-5
# Mean difference on a GPU, whose convolutions round to ten bits and depend on the batch size.
SIMILAR = 5e-3

# Output this close to a bound, or to the background, is as good as equal.
_ROUNDING = 1e-6


@dataclass(frozen=True)
class Violation:
    """A property that an output does not have.

    Attributes
    ----------
    expected, got, fix
        The expected property, the observed one, and how to correct the method.
    """

    expected: str
    got: str
    fix: str

    def __str__(self) -> str:
        return f"expected {self.expected}, got: {self.got}; {self.fix}"


def absolute_difference(a: Tensor, b: Tensor) -> Tensor:
    """Return |a - b|: zero where both are NaN, infinite where one is."""
    both_nan = a.isnan() & b.isnan()
    return torch.where(both_nan, 0, (a - b).abs().nan_to_num(nan=torch.inf))


def changed_input(received: Scans, source: Scans) -> Violation | None:
    """Return the violation if a method wrote to its input.

    Parameters
    ----------
    received
        The copy that the method received, after its answer; on any device.
    source
        The original.
    """
    for name in ("images", "masks"):
        changed = int((getattr(received, name).cpu() != getattr(source, name)).sum())
        if changed:
            return Violation(
                f"unchanged scans.{name}",
                f"{changed} voxels were changed",
                "use no in-place operations (`+=`, `clamp_`, `x[...] = `) on the input; clone it "
                "first",
            )
    return None


def _span(images: Tensor) -> tuple[float, float]:
    """Return the lowest and the highest intensity; 0 and 1 where there is none."""
    if not images.numel():
        return 0.0, 1.0
    low, high = images.aminmax()
    return float(low), float(high)


def outside_range(images: Tensor) -> Violation | None:
    """Return the violation if finite intensities leave [0, 1]."""
    low, high = _span(images)
    if not math.isfinite(low + high):  # a selection takes much longer than the rest
        low, high = _span(images[images.isfinite()])
    if low >= -_ROUNDING and high <= 1 + _ROUNDING:
        return None
    return Violation(
        "intensities in [0, 1]",
        f"they span [{low:.4g}, {high:.4g}]",
        "end `forward` with images.clamp(0, 1), or find out why values leave the range",
    )


def changed_background(images: Tensor, source: Scans) -> Violation | None:
    """Return the violation if voxels outside the mask differ from the input."""
    # Intensities that are not finite are reported as such.
    outside = ((images - source.images) * ~source.masks).nan_to_num(nan=0, posinf=0, neginf=0)
    difference = float(outside.abs().max())
    if difference <= _ROUNDING:
        return None
    return Violation(
        "the input's intensities outside scans.masks, which are 0",
        f"they differ by up to {difference:.3g}",
        "end `forward` with torch.where(scans.masks, images, scans.images)",
    )


def batch_dependence(images: Tensor, again: Tensor, device: torch.device) -> Violation | None:
    """Return the violation if a scan's output depends on other scans.

    Parameters
    ----------
    images, again
        Output for the same scans `(N, S, H, W)` in two different batches.
    device
        Device of the computation; determines the tolerance.
    """
    difference = absolute_difference(images, again)
    if device.type == "cuda":
        if float(difference.mean()) <= SIMILAR:
            return None
    elif float(difference.max()) <= SAME:
        return None
    return Violation(
        "that a scan's output does not depend on other scans",
        f"alone and with another scan it differs by up to {float(difference.max()):.3g}",
        "take no mean, minimum, maximum or quantile over the first axis, leave no batch "
        "normalisation in training mode, keep nothing in `self` between calls, and draw from "
        "harmbench.torch_generator(seed, name, subject, session) of each scan",
    )
