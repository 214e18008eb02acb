from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from harmbench.data.scans import Grid
from harmbench.errors import BadScanError
from harmbench.harmonization.harmonizer import Harmonizer
from harmbench.harmonization.stack_change import change_of_stack
from harmbench.harmonization.whole_brain import Stack

GRID = Grid("small", (10, 6, 7), (4.0, 5.0, 5.0))
BELOW, ABOVE = 7, 4

PLUGIN = """
import torch
from harmbench import Method, Needs, StackMethod, hookimpl


def half(scans, level):
    images = torch.lerp(scans.images, level, 0.5)
    return scans.with_images(torch.where(scans.masks, images, scans.images))


class Stacked(StackMethod):
    name = "stacked"
    summary = "halfway to the mean on the grid"
    needs = Needs.NOTHING

    def forward_stack(self, scans, stack):
        return half(stack, scans.images[scans.masks].mean())


class Windowed(Method):
    name = "windowed"
    summary = "halfway to the mean of the window"
    needs = Needs.NOTHING

    def forward(self, scans):
        assert scans.images.shape[1] == self.grid.shape[0]
        return half(scans, scans.images[scans.masks].mean())


class Bright(Stacked):
    name = "bright"

    def forward_stack(self, scans, stack):
        return stack.with_images(stack.images + 1)


@hookimpl
def register_methods():
    return [Stacked, Windowed, Bright]
"""


@pytest.fixture
def harmonizer(tmp_path):
    path = tmp_path / "halfway.py"
    path.write_text(PLUGIN)

    def of(method, normalization="percentile"):
        return Harmonizer(
            method=method,
            code="",
            preset="quick",
            seed=0,
            grid=GRID,
            settings="{}",
            fit=None,
            target=None,
            task=None,
            cohort=None,
            normalization=normalization,
            standard=(),
            prepared=(),
            plugins=(Path(path),),
            home=tmp_path / "home",
            device="cpu",
        )

    return of


@pytest.fixture
def stack():
    """A stack that is darker below the grid and brighter above it."""
    K = BELOW + GRID.shape[0] + ABOVE
    random = np.random.default_rng(0)
    images = random.uniform(100, 900, (K, *GRID.shape[1:])).astype(np.float32)
    images[:BELOW] *= 0.6
    images[BELOW + GRID.shape[0] :] *= 1.05
    masks = np.ones(images.shape, bool)
    masks[:, 0] = False
    x, y, z = GRID.centre
    centre = (x, y, z + (ABOVE - BELOW) / 2 * GRID.spacing[0])
    grid = dataclasses.replace(GRID, shape=images.shape, centre=centre)
    return Stack(grid, BELOW, images * masks, masks)


OWN = slice(BELOW, BELOW + GRID.shape[0])


def test_a_stack_method_changes_all_slices_by_the_estimate_from_the_grid(harmonizer, stack):
    change, flags = change_of_stack(harmonizer("stacked"), stack, "A", "1")
    assert not flags
    inside, images = stack.masks, stack.images
    top = np.percentile(images[OWN][inside[OWN]], 99.5)  # brighter voxels are clipped
    mean = images[OWN].clip(0, top)[inside[OWN]].mean()
    expected = (mean - images.clip(0, top)) / 2
    np.testing.assert_allclose(change[inside], expected[inside], atol=0.5)
    assert (change[~inside] == 0).all()


def test_windows_and_stack_agree_on_the_grid_only(harmonizer, stack):
    at_once, _ = change_of_stack(harmonizer("stacked"), stack, "A", "1")
    in_windows, _ = change_of_stack(harmonizer("windowed"), stack, "A", "1")
    np.testing.assert_allclose(at_once[OWN], in_windows[OWN], atol=1e-3)
    assert np.abs(at_once - in_windows)[:BELOW].max() > 1


def test_minmax_scales_slices_beyond_the_grid_by_their_bright_tissue(harmonizer, stack):
    """One brilliant voxel beyond the grid does not change the scale of its slice."""
    before, _ = change_of_stack(harmonizer("stacked", "minmax"), stack, "A", "1")
    images = stack.images.copy()
    images[2, 3, 3] = 20000
    brilliant = dataclasses.replace(stack, images=images)
    after, _ = change_of_stack(harmonizer("stacked", "minmax"), brilliant, "A", "1")
    others = stack.masks.copy()
    others[2, 3, 3] = False
    largest = np.abs(before[others]).max()
    assert np.abs(after - before)[others].max() < 0.1 * largest


def test_a_faulty_answer_beyond_the_grid_is_a_failure_of_the_scan(harmonizer, stack):
    with pytest.raises(BadScanError, match=r"bright failed: ContractError: .*\[0, 1\]"):
        change_of_stack(harmonizer("bright"), stack, "A", "1")
