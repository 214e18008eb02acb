"""N4 and a fixed intensity of white matter."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from harmbench import Grid, Scans, UserError, white_matter_mode
from harmbench_methods.n4_whitestripe import N4WhiteStripe, N4WhiteStripeConfig
from helpers.volumes import sampled

GRID = Grid("small", (18, 30, 36), (8.0, 6.0, 6.0), (0.0, -17.0, 10.0))


def brain() -> np.ndarray:
    """Return the template's brain `(S, H, W)` in [0, 1]."""
    affine = np.zeros((4, 4))
    affine[[2, 0, 1], [0, 1, 2]] = GRID.spacing  # slices along z, rows along x, columns along y
    affine[:, 3] = [*GRID.origin, 1]
    data = sampled(np.eye(4), affine, GRID.shape)
    return data / data.max()


def scans_of(*images: np.ndarray) -> Scans:
    batch = torch.from_numpy(np.stack(images)).float()
    names = tuple(f"subject{n}" for n in range(len(images)))
    positions = torch.tensor(GRID.positions)
    return Scans(
        images=batch,
        masks=batch > 0,
        subjects=names,
        sessions=("1",) * len(images),
        positions=positions,
    )


def spread(first: Tensor, second: Tensor) -> float:
    """Return the standard deviation of the log ratio where neither image is clipped."""
    inside = (first > 0) & (second > 0) & (first < 1) & (second < 1)
    return float((first[inside] / second[inside]).log().std())


def test_a_known_bias_field_and_scale_are_removed() -> None:
    flat = 0.6 * brain()
    s, h, w = np.indices(GRID.shape) / np.array(GRID.shape).reshape(3, 1, 1, 1)
    field = 0.8 * np.exp(0.3 * np.cos(np.pi * s) - 0.3 * h + 0.2 * np.cos(np.pi * w))
    scans = scans_of(flat, flat * field)
    output = N4WhiteStripe(GRID, N4WhiteStripeConfig(resolution=12.0))(scans).images
    before, after = (spread(images[1], images[0]) for images in (scans.images, output))
    assert after < 0.2 * before
    for image, mask in zip(output, scans.masks, strict=True):
        assert white_matter_mode(image[mask].numpy()) == pytest.approx(0.85, abs=0.01)


def test_the_setting_is_reached_and_the_background_does_not_change() -> None:
    scans = scans_of(brain(), np.zeros(GRID.shape))
    bright = scans.with_images(torch.where(scans.masks, scans.images, 0.25))
    config = N4WhiteStripeConfig(white_matter=0.5, resolution=12.0)
    output = N4WhiteStripe(GRID, config)(bright).images
    assert (output[~scans.masks] == 0.25).all()
    assert white_matter_mode(output[scans.masks].numpy()) == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("setting", [{"white_matter": 1.2}, {"resolution": 0.0}])
def test_settings_out_of_range_are_refused(setting) -> None:
    with pytest.raises(UserError, match=next(iter(setting))):
        N4WhiteStripeConfig(**setting)
