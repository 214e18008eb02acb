from __future__ import annotations

import numpy as np
import pytest

from harmbench.data.scans import GRIDS
from harmbench.data.volumes import Frame, VolumeSpace
from harmbench.testing.tiny import tiny_cohort


@pytest.fixture(scope="module")
def scans():
    cohort = tiny_cohort()
    return cohort.scans("domain1", "test")


def test_a_volume_is_the_stack_of_its_slices(scans) -> None:
    (volume, *_) = scans.volumes(VolumeSpace())
    images = scans.load([0]).images[0].numpy()
    S, H, W = images.shape
    assert volume.image.shape == (H, W, S)
    np.testing.assert_array_equal(volume.image[3, 5], images[:, 3, 5])
    grid = scans.grid
    np.testing.assert_allclose(volume.affine @ [0, 0, 0, 1], [*grid.origin, 1])
    np.testing.assert_allclose((volume.affine @ [0, 0, S - 1, 1])[2], grid.positions[-1])


def test_the_same_volume_gives_the_same_slices_to_the_bit(scans) -> None:
    for place in range(len(scans)):
        scan, opened = scans.volumes(VolumeSpace()).open(place)
        np.testing.assert_array_equal(opened.to_grid(scan.image), scans.load([place]).images[0])


def test_results_outside_the_range_and_the_mask_are_cut(scans) -> None:
    scan, opened = scans.volumes(VolumeSpace()).open(0)
    slices = opened.to_grid(scan.image * 3 + 1)
    masks = scans.load([0]).masks[0].numpy()
    assert slices.max() == 1
    assert not slices[~masks].any()


def test_the_template_holds_the_same_brain() -> None:
    grid = GRIDS["quick"]
    from harmbench.data.prepared_volume import PreparedVolume

    axes = np.meshgrid(*[np.linspace(-1, 1, n) for n in grid.shape], indexing="ij")
    mask = sum(axis**2 for axis in axes) < 0.6
    smooth = np.where(mask, 0.5 + 0.3 * axes[0] + 0.2 * axes[2], 0).astype(np.float32)
    source = PreparedVolume(grid=grid, _load=lambda: (smooth, mask))
    opened = source.open(VolumeSpace(frame=Frame.TEMPLATE, spacing=1.0))
    assert opened.image.shape == (193, 229, 193)
    back = opened.to_grid(opened.image)
    inner = sum(axis**2 for axis in axes) < 0.5
    np.testing.assert_allclose(back[inner], smooth[inner], atol=0.01)
    assert not back[~mask].any()


def test_prepared_scans_have_no_heads(scans) -> None:
    head = VolumeSpace(head=True)
    assert scans.no_volumes(head) == f"are brain-extracted: {len(scans)} of {len(scans)}"
    with pytest.raises(ValueError, match="brain-extracted"):
        scans.volumes(head)
