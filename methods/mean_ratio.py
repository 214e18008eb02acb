"""A strong and cheap baseline: one fixed gain map, the ratio of two smoothed mean images."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from scipy import ndimage
from torch import Tensor

from harmbench import FitData, FitProgress, Grid, Needs, Scans, ScanSet, StackMethod, UserError

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class MeanRatioConfig:
    """Settings.

    Attributes
    ----------
    window
        Edge length in mm of the cube that the mean images are averaged over. It was chosen
        before any result was seen: wider than the folds of the cortex, which differ between
        subjects, and narrower than a bias field.

    Raises
    ------
    UserError
        If the window is not above zero.
    """

    window: float = 20.0

    def __post_init__(self) -> None:
        if not self.window > 0:
            raise UserError(f"window must be above 0 mm, but is {self.window:g}")


def window_size(window: float, spacing: tuple[float, float, float]) -> tuple[int, ...]:
    """Return the odd number of voxels that is nearest to the window along each axis.

    Parameters
    ----------
    window
        In mm.
    spacing
        Distance of neighbouring voxels along each axis in mm.
    """
    return tuple(2 * max(0, round((window / step - 1) / 2)) + 1 for step in spacing)


def smoothed_mean(scans: ScanSet, size: tuple[int, ...], progress: FitProgress) -> FloatArray:
    """Return the mean of all foreground voxels of all scans within a window, at each voxel.

    Parameters
    ----------
    scans
        Read one at a time, so that memory does not grow with their number.
    size
        Edge lengths of the window in voxels.
    progress
        Shows the scans that were read.

    Returns
    -------
    numpy.ndarray
        `(S, H, W)` float64 in [0, 1]; NaN where no scan has foreground within the window.
    """
    total, count = np.zeros((2, *scans.grid.shape))
    for scan in progress.track(scans.batches(), f"mean of {scans.domain}", len(scans)):
        masks = scan.masks.numpy()
        total += np.where(masks, scan.images.numpy(), 0).sum(axis=0, dtype=np.float64)
        count += masks.sum(axis=0)
    total, count = (ndimage.uniform_filter(x, size, mode="constant") for x in (total, count))
    # Running sums leave rounding errors where the window is empty: less than half a voxel.
    foreground = count * np.prod(size) > 0.5
    mean: FloatArray = np.divide(total, count, out=np.full_like(total, np.nan), where=foreground)
    return mean


class MeanRatio(StackMethod):
    """Multiplies every scan by one fixed gain map.

    The gain is the smoothed mean target image divided by the smoothed mean source image.
    So it corrects the part of the bias field and of the contrast that all scans of a
    scanner share, and needs no pairs and no training.

    Attributes
    ----------
    gain
        `(S, H, W)` float32, not negative; 1 where one of the mean images is not defined, or
        the source's is zero.
    """

    name = "mean-ratio"
    summary = "multiplies by the ratio of the smoothed mean target and mean source images"
    needs = Needs.UNPAIRED
    Config = MeanRatioConfig

    config: MeanRatioConfig
    gain: Tensor

    def __init__(self, grid: Grid, config: MeanRatioConfig | None = None) -> None:
        super().__init__(grid, config)
        self.register_buffer("gain", torch.ones(grid.shape))

    def fit(self, data: FitData, progress: FitProgress) -> None:
        """Average the training scans of both domains, one scan at a time."""
        size = window_size(self.config.window, self.grid.spacing)
        target = smoothed_mean(data.target, size, progress)
        source = smoothed_mean(data.source, size, progress)
        defined = np.isfinite(target) & (source > 0)
        gain = np.divide(target, source, out=np.ones_like(target), where=defined)
        self.gain.copy_(torch.from_numpy(gain))

    def forward_stack(self, scans: Scans, stack: Scans) -> Scans:
        """Multiply N stacks by the gain within their masks; values above 1 are clipped.

        Slices beyond the grid take the gain of the grid's nearest slice.
        """
        changed = (stack.images * self.gain[self.nearest_slices(stack)]).clamp(0, 1)
        return stack.with_images(torch.where(stack.masks, changed, stack.images))
