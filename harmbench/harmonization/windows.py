"""Harmonising a whole brain in windows of slices."""

from __future__ import annotations

import numpy as np
import torch

from harmbench.data.prepare_options import DEFAULT_NORMALIZATION
from harmbench.data.scans import Scans
from harmbench.errors import BadScanError, HarmbenchError, one_line
from harmbench.execution.compute.apply import harmonized_by
from harmbench.harmonization.harmonizer import Harmonizer
from harmbench.harmonization.whole_brain import (
    Stack,
    intensity_scale,
    white_levels,
    windows,
)
from harmbench.preprocessing.nifti_read import Array
from harmbench.preprocessing.normalization import normalization


def by_windows(
    harmonizer: Harmonizer, stack: Stack, subject: str, session: str
) -> tuple[Array, list[str]]:
    """Harmonise a stack by windows of the grid's size.

    A window is normalised as a scan of a cohort is, and what the method changes of it is
    made to be of the scan's own intensities again: the contrast becomes the target's, the
    scale stays the scan's.

    Returns
    -------
    tuple
        `(K, H, W)` float32: the change, in the scan's own intensities; and what the method
        warned of, each once.
    """
    method = harmonizer.build()
    flags: dict[str, None] = {}
    normalize = normalization(harmonizer.normalization)
    size = harmonizer.grid.shape[0]
    grid = range(stack.first, stack.first + size)
    white = white_levels(stack, size)
    positions = torch.tensor(stack.grid.positions, dtype=torch.float32)
    change, total = np.zeros_like(stack.images), np.zeros((len(stack.images), 1, 1), np.float32)
    for window in windows(len(stack.images), stack.first, size):
        slices = list(window.slices)
        own, masks = stack.images[slices], stack.masks[slices]
        normalized = normalize(own, masks, harmonizer.standard)
        if harmonizer.normalization == DEFAULT_NORMALIZATION:
            for place, k in enumerate(slices):
                if k not in grid and white[k] > 0:
                    normalized[place] = (own[place] / white[k]).clip(0, 1)
        shown = Scans(
            images=torch.from_numpy(normalized)[None],
            masks=torch.from_numpy(masks)[None],
            subjects=(subject,),
            sessions=(session,),
            positions=positions[slices],
        )
        try:
            # One at a time, so that what a method draws is what it draws in the benchmark.
            answer = harmonized_by(
                method, shown, None, harmonizer.seed, torch.device(harmonizer.device)
            )
        except HarmbenchError:
            raise
        except Exception as error:
            raise BadScanError(f"{harmonizer.method} failed: {one_line(error)}") from error
        flags |= dict.fromkeys(flag for flag in answer.flags or () if flag)
        difference = answer.images[0].numpy() - normalized
        difference *= intensity_scale(own, normalized, masks)[:, None, None]
        weights = np.array(window.weights, dtype=np.float32)[:, None, None]
        change[slices] += weights * difference
        total[slices] += weights
    return change / total, list(flags)
