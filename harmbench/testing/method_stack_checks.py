"""Check of methods that also harmonise slices beyond the grid."""

from __future__ import annotations

import dataclasses

import torch

from harmbench.contracts.stack_method import StackMethod
from harmbench.data.scans import Grid, Scans
from harmbench.errors import one_line
from harmbench.execution.compute.invariants import (
    SAME,
    changed_background,
    changed_input,
    outside_range,
)
from harmbench.testing.checks import CheckFailure, CheckList, NotApplicable
from harmbench.testing.method_candidate import MethodCandidate, max_difference
from harmbench.testing.method_output_checks import fail_on

STACK_CHECKS: CheckList[MethodCandidate] = CheckList()

_BELOW, _ABOVE = 1, 2


def longer_stack(scans: Scans, grid: Grid) -> Scans:
    """Return scans with further slices: a darker one at each end, and above it an empty one."""
    S = grid.shape[0]
    index = torch.arange(-_BELOW, S + _ABOVE)
    images, masks = (x[:, index.clamp(0, S - 1)] for x in (scans.images, scans.masks))
    images[:, (index < 0) | (index >= S)] *= 0.5
    images[:, -1], masks[:, -1] = 0, False
    positions = grid.positions[0] + grid.spacing[0] * index
    return dataclasses.replace(scans, images=images, masks=masks, positions=positions)


@STACK_CHECKS.add("stack")
def stack(candidate: MethodCandidate) -> None:
    """With slices beyond the grid, its output is valid, and the same on the grid's slices."""
    if not issubclass(candidate.method, StackMethod):
        raise NotApplicable("it is not a StackMethod: a whole brain is harmonised in windows")
    on_grid, source = candidate.images, longer_stack(candidate.source, candidate.grid)
    received = candidate.given(source)
    try:
        images = candidate.apply(candidate.fitted, received).images
    except Exception as error:
        raise CheckFailure(
            "`forward_stack` harmonises slices beyond the grid",
            one_line(error),
            "extend estimates for each slice of the grid by self.nearest_slices(stack)",
        ) from error
    if images.shape != source.images.shape or not bool(images.isfinite().all()):
        raise CheckFailure(
            f"finite images of shape {tuple(source.images.shape)}",
            f"shape {tuple(images.shape)}, {int((~images.isfinite()).sum())} voxels not finite",
            "return stack.with_images(images), with images (N, K, H, W) like those of the stack",
        )
    fail_on(changed_input(received, source))
    fail_on(outside_range(images))
    if "background" not in candidate.method.expected_failures:
        fail_on(changed_background(images, source))
    difference = max_difference(images[:, _BELOW:-_ABOVE], on_grid)
    if difference > SAME:
        raise CheckFailure(
            "the same output on the grid's slices, with and without slices beyond the grid",
            f"it differs by up to {difference:.3g}",
            "estimate from `scans` only, and apply the estimate to each slice of `stack` by itself",
        )
