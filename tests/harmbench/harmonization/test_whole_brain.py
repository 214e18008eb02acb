"""Windows over the whole brain, and a change resampled to the scan."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from harmbench.data.scans import Grid
from harmbench.harmonization.whole_brain import (
    change_in_scan,
    intensity_scale,
    normalized_like_grid,
    white_levels,
    whole_stack,
    windows,
)
from harmbench.preprocessing.brain import crop_brain
from harmbench.preprocessing.nifti_read import Volume
from harmbench.preprocessing.normalization import NORMALIZATIONS
from harmbench.preprocessing.registration import Registration
from harmbench.preprocessing.resampling import resample_brain
from helpers.volumes import sampled

GRID = Grid("coarse", (8, 44, 54), (5.0, 4.0, 4.0))


def turned() -> np.ndarray:
    """From MNI152 to a scan that is tilted, larger and elsewhere."""
    c, s = np.cos(0.2), np.sin(0.2)
    turn = np.array([[1, 0, 0, 0], [0, c, -s, 0], [0, s, c, 0], [0, 0, 0, 1.0]])
    larger = np.diag([1.1, 0.95, 1.05, 1.0])
    larger[:3, 3] = [5, -8, 12]
    return larger @ turn


@pytest.fixture
def head():
    """A brain with something around it, its brain, and how it lies to MNI152."""
    matrix = turned()
    affine = np.diag([3.0, 3.2, 2.8, 1.0])
    affine[:3, 3] = [-110, -150, -100]
    data = sampled(np.linalg.inv(matrix), affine, (74, 90, 84)).astype(np.float32)
    registration = Registration(tuple(tuple(map(float, row)) for row in matrix), 1.0)
    return Volume(data * 1000, affine), registration


@given(st.integers(0, 90), st.integers(2, 60), st.integers(0, 90))
def test_windows_cover_every_slice_and_the_first_is_the_grid(below, size, above):
    count = below + size + above
    result = windows(count, below, size)
    grid = tuple(range(below, below + size))
    assert result[0].slices == grid
    assert result[0].weights == (1.0,) * size
    total = np.zeros(count)
    for window in result:
        assert len(window.slices) == len(window.weights) == size
        assert list(window.slices) == sorted(set(window.slices))
        np.add.at(total, list(window.slices), window.weights)
    assert (total > 0).all()
    assert (total[list(grid)] == 1).all()  # by the grid itself alone, as in the benchmark
    for window in result[1:]:  # and no window is far from what a method knows
        assert len(set(window.slices) - set(grid)) <= max(2, 0.2 * size + 1)


def test_the_stack_covers_the_brain_and_holds_the_grid_s_slices_as_a_cohort_does(head):
    volume, registration = head
    brain = crop_brain(volume)
    stack = whole_stack(brain, registration, GRID)
    image, mask = resample_brain(brain, registration, GRID)
    own = slice(stack.first, stack.first + GRID.shape[0])
    np.testing.assert_array_equal(stack.masks[own], mask)
    minmax = NORMALIZATIONS["minmax"]
    normalized = minmax(stack.images[own], stack.masks[own])
    np.testing.assert_allclose(normalized, minmax(image, mask), atol=1e-4)
    np.testing.assert_allclose(stack.grid.positions[own], GRID.positions)
    assert stack.first > 5
    assert not stack.masks[0].all()
    litres = stack.masks.sum() * np.prod(GRID.spacing) * np.linalg.det(turned())
    assert litres == pytest.approx(brain.mask.sum() * volume.voxel_volume, rel=0.01)


@pytest.mark.parametrize("name", ["minmax", "percentile", "zscore", "whitestripe"])
def test_the_unit_is_the_divisor_of_the_normalisation(head, name):
    volume, registration = head
    stack = whole_stack(crop_brain(volume), registration, GRID)
    normalized = NORMALIZATIONS[name](stack.images, stack.masks)
    unit = intensity_scale(stack.images, normalized, stack.masks)
    inside = stack.masks & (normalized > 0) & (normalized < 1)
    for k in np.flatnonzero(inside.sum(axis=(1, 2)) > 20):
        rest = stack.images[k] - unit[k] * normalized[k]  # the offset, the same for all voxels
        assert np.ptp(rest[inside[k]]) < 1e-3 * stack.images[k].max()


@pytest.mark.parametrize("name", ["percentile", "zscore", "whitestripe"])
def test_slices_beyond_the_grid_are_normalised_by_the_grid_s_scale(head, name):
    volume, registration = head
    stack = whole_stack(crop_brain(volume), registration, GRID)
    own = slice(stack.first, stack.first + GRID.shape[0])
    on_grid = NORMALIZATIONS[name](stack.images[own], stack.masks[own])
    normalized = normalized_like_grid(stack.images, stack.masks, own, on_grid)
    np.testing.assert_array_equal(normalized[own], on_grid)
    linear = stack.masks[own] & (on_grid > 0) & (on_grid < 1)
    slope, offset = np.polyfit(stack.images[own][linear], on_grid[linear], 1)
    expected = np.where(stack.masks, (slope * stack.images + offset).clip(0, 1), 0)
    np.testing.assert_allclose(normalized, expected, atol=2e-3)
    assert stack.masks[: stack.first].any()


def test_a_stack_without_a_brain_on_the_grid_is_normalised_to_zero():
    images = np.full((4, 2, 2), 3, np.float32)
    masks = np.zeros((4, 2, 2), bool)
    masks[0] = True
    assert not normalized_like_grid(images, masks, slice(1, 3), np.zeros((2, 2, 2))).any()


def test_a_bright_artery_does_not_change_the_unit(head):
    volume, registration = head
    stack = whole_stack(crop_brain(volume), registration, GRID)
    size = GRID.shape[0]
    before = white_levels(stack, size)
    k = stack.first - 3
    row, column = np.argwhere(stack.masks[k])[40]
    stack.images[k, row, column] *= 5
    after = white_levels(stack, size)
    assert after[k] == pytest.approx(before[k], rel=0.02)
    own = stack.images[stack.first : stack.first + size].max(axis=(1, 2))
    assert before[stack.first : stack.first + size] == pytest.approx(own, rel=0.1)


def test_a_change_is_mapped_back_to_its_position(head):
    """A linear function of MNI152 coordinates is interpolated exactly, so any shift shows."""
    volume, registration = head
    brain = crop_brain(volume)
    stack = whole_stack(brain, registration, GRID)
    index = np.stack([*np.indices(stack.images.shape), np.ones(stack.images.shape)])
    x, y, z = np.einsum("ij,j...->i...", stack.grid.affine, index)[:3]
    change = (2 * x - 3 * y + 5 * z + 7).astype(np.float32)
    added, changed = change_in_scan(change, stack, volume, brain, registration, blend=3.0)

    index = np.stack([*np.indices(volume.data.shape), np.ones(volume.data.shape)])
    to_mni = np.linalg.inv(turned()) @ volume.affine
    x, y, z = np.einsum("ij,j...->i...", to_mni, index)[:3]
    want = 2 * x - 3 * y + 5 * z + 7
    # The brain is cut out: nothing is around it to blend into, only the rim is extrapolated.
    deep = ndimage.binary_erosion(changed, iterations=4)
    assert deep.sum() > 0.3 * changed.sum()
    np.testing.assert_allclose(added[deep], want[deep], atol=0.02)
    assert np.abs(added - want)[changed].max() < 2 * 4 + 3 * 4 + 5 * 5  # a voxel of the grid
    assert (added[~changed] == 0).all()
    assert changed[brain.box][brain.mask].mean() > 0.995
    assert not changed[volume.data == 0].any()


def test_a_smooth_image_survives_resampling_to_the_grid_and_back(head):
    volume, registration = head
    smooth = 500 + ndimage.gaussian_filter(volume.data, 3)
    volume = Volume(np.where(volume.data > 0, smooth, 0), volume.affine)
    brain = crop_brain(volume)
    fine = Grid("fine", (60, 144, 176), (1.2, 1.2, 1.2))
    stack = whole_stack(brain, registration, fine)
    back, changed = change_in_scan(stack.images, stack, volume, brain, registration, blend=0)
    error = np.mean((back - volume.data)[changed] ** 2)
    assert 10 * np.log10(volume.data.max() ** 2 / error) > 45


def test_the_change_fades_at_the_mask_where_the_head_continues(head):
    volume, registration = head
    brain = crop_brain(volume)
    around = volume.data.copy()
    around[around == 0] = 300
    whole = Volume(around, volume.affine)
    stack = whole_stack(brain, registration, GRID)
    change = np.full_like(stack.images, 100)
    added, changed = change_in_scan(change, stack, whole, brain, registration, blend=9.0)
    depth = ndimage.distance_transform_edt(changed, sampling=volume.voxel_size)
    assert (added[~changed] == 0).all()
    np.testing.assert_allclose(added[depth >= 9], 100, atol=1e-3)
    assert 0 < added[(depth > 0) & (depth < 3.3)].max() < 35
    assert np.abs(np.diff(added, axis=0)).max() < 60  # 100 at once without blending
    sharp, _ = change_in_scan(change, stack, whole, brain, registration, blend=0)
    np.testing.assert_allclose(sharp[changed], 100, atol=1e-3)
