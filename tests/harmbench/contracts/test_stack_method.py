from __future__ import annotations

import dataclasses

import pytest
import torch

from harmbench import Needs, Scans, StackMethod
from harmbench.errors import ContractError
from harmbench.testing.tiny import TINY, tiny_cohort

S = TINY.shape[0]


class Scaled(StackMethod):
    name = "scaled"
    summary = "scale each slice by the greatest intensity of its nearest slice on the grid"
    needs = Needs.NOTHING

    def forward_stack(self, scans, stack):
        highest = scans.images.amax(dim=(2, 3), keepdim=True).clamp_min(1e-6)
        return stack.with_images(stack.images / highest[:, self.nearest_slices(stack)])


def stack_of(below, above, spacing=TINY.spacing[0], shift=0.0):
    """Two scans of the tiny cohort with random slices below and above, and the scans alone."""
    scans = tiny_cohort().scans("domain1", "test").without_labels().load([0, 1])
    generator = torch.Generator().manual_seed(0)
    size = (len(scans), below, *TINY.shape[1:]), (len(scans), above, *TINY.shape[1:])
    ends = [torch.rand(one, generator=generator) for one in size]
    images = torch.cat((ends[0], scans.images, ends[1]), dim=1)
    positions = TINY.positions[0] + shift + spacing * (torch.arange(images.shape[1]) - below)
    return scans, dataclasses.replace(
        scans, images=images, masks=images > 0, positions=positions.float()
    )


@pytest.mark.parametrize(("below", "above"), [(0, 0), (3, 0), (0, 2), (4, 5)])
def test_a_stack_is_harmonised_by_its_slices_on_the_grid(below, above) -> None:
    scans, stack = stack_of(below, above)
    method = Scaled(TINY)
    output = method(stack).images
    own = slice(below, below + S)
    assert torch.equal(output[:, own], method(scans).images)
    highest = scans.images.amax(dim=(2, 3))
    assert torch.equal(output[:, :below], stack.images[:, :below] / highest[:, :1, None, None])
    above_grid = slice(below + S, None)
    expected = stack.images[:, above_grid] / highest[:, -1:, None, None]
    assert torch.equal(output[:, above_grid], expected)


def test_the_method_receives_the_slices_on_the_grid_and_the_stack() -> None:
    seen: list[Scans] = []

    class Watching(Scaled):
        def forward_stack(self, scans, stack):
            seen.extend((scans, stack))
            return super().forward_stack(scans, stack)

    scans, stack = stack_of(2, 1)
    Watching(TINY)(stack)
    on_grid, whole = seen
    assert whole is stack
    for name in ("images", "positions"):
        torch.testing.assert_close(getattr(on_grid, name), getattr(scans, name))
    assert torch.equal(on_grid.masks, stack.masks[:, 2:-1])
    assert on_grid.subjects == scans.subjects


@pytest.mark.parametrize(
    ("spacing", "shift"), [(TINY.spacing[0] / 2, 0.0), (TINY.spacing[0], 3.0), (8.0, 80.0)]
)
def test_slices_without_the_grid_or_at_another_spacing_are_refused(spacing, shift) -> None:
    _, stack = stack_of(2, 1, spacing, shift)
    with pytest.raises(ContractError, match="expected the 6 slices of the grid.*got 9 slices"):
        Scaled(TINY)(stack)


def test_fewer_slices_than_the_grid_has_are_a_scan_of_their_own() -> None:
    scans, _ = stack_of(0, 0)
    fewer = dataclasses.replace(
        scans, images=scans.images[:, 1:], masks=scans.masks[:, 1:], positions=scans.positions[1:]
    )
    received: list[Scans] = []

    class Recording(Scaled):
        def forward_stack(self, scans, stack):
            received.extend((scans, stack))
            return stack

    Recording(TINY)(fewer)
    assert all(one is fewer for one in received)
