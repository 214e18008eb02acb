"""The change of a method to all slices of a brain: at once, or in windows of slices."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch

from harmbench.contracts.method import Method
from harmbench.contracts.stack_method import StackMethod
from harmbench.data.prepare_options import MINMAX
from harmbench.data.scans import Scans
from harmbench.errors import BadScanError, ContractError, HarmbenchError, one_line
from harmbench.execution.compute.apply import Beside, harmonized_by
from harmbench.harmonization.harmonizer import Harmonizer
from harmbench.harmonization.whole_brain import (
    Stack,
    intensity_scale,
    normalized_like_grid,
    single_window,
    white_levels,
    windows,
)
from harmbench.preprocessing.nifti_read import Array
from harmbench.preprocessing.normalization import normalization


def change_of_stack(
    harmonizer: Harmonizer,
    stack: Stack,
    subject: str,
    session: str,
    covariates: pd.DataFrame | None = None,
) -> tuple[Array, list[str]]:
    """Harmonise a stack at once by a `StackMethod`, or in windows of the grid's size.

    Each window is normalised like a scan of a cohort, and a whole stack like its slices on the
    grid. The method's change is converted back to the scan's own intensities: contrast becomes
    the target's, the scale stays the scan's.

    Returns
    -------
    tuple
        `(K, H, W)` float32: the change, in the scan's own intensities; and the method's
        warnings, each once.
    """
    method = harmonizer.build()
    count, size = len(stack.images), harmonizer.grid.shape[0]
    white = white_levels(stack, size)
    positions = torch.tensor(stack.grid.positions, dtype=torch.float32)
    change, total = np.zeros_like(stack.images), np.zeros((count, 1, 1), np.float32)
    warnings: dict[str, None] = {}
    at_once = isinstance(method, StackMethod)
    for window in [single_window(count)] if at_once else windows(count, stack.first, size):
        slices = list(window.slices)
        images, masks = stack.images[slices], stack.masks[slices]
        normalized = _normalized(harmonizer, stack, slices, white)
        answer = _applied(
            harmonizer,
            method,
            Scans(
                images=torch.from_numpy(normalized)[None],
                masks=torch.from_numpy(masks)[None],
                subjects=(subject,),
                sessions=(session,),
                positions=positions[slices],
            ),
            covariates,
        )
        warnings |= dict.fromkeys(flag for flag in answer.flags or () if flag)
        difference = answer.images[0].numpy() - normalized
        difference *= intensity_scale(images, normalized, masks)[:, None, None]
        weights = np.array(window.weights, dtype=np.float32)[:, None, None]
        change[slices] += weights * difference
        total[slices] += weights
    return change / total, list(warnings)


def _normalized(harmonizer: Harmonizer, stack: Stack, slices: list[int], white: Array) -> Array:
    """Return slices of a stack `(S, H, W)` in [0, 1]; `white` is from `white_levels`."""
    images, masks = stack.images[slices], stack.masks[slices]
    normalize = normalization(harmonizer.normalization)
    size = harmonizer.grid.shape[0]
    if harmonizer.normalization != MINMAX and len(slices) > size:
        own = slice(stack.first, stack.first + size)
        on_grid = normalize(images[own], masks[own], harmonizer.standard)
        return normalized_like_grid(images, masks, own, on_grid)
    normalized: Array = normalize(images, masks, harmonizer.standard)
    if harmonizer.normalization == MINMAX:
        grid = range(stack.first, stack.first + size)
        for i, k in enumerate(slices):
            if k not in grid and white[k] > 0:
                normalized[i] = (images[i] / white[k]).clip(0, 1)
    return normalized


def _applied(
    harmonizer: Harmonizer, method: Method, scans: Scans, covariates: pd.DataFrame | None
) -> Scans:
    """Harmonise the slices of a window; exceptions and faulty output become `BadScanError`."""
    try:
        # One scan per call, as in the benchmark: random draws of a method are then the same.
        device = torch.device(harmonizer.device)
        beside = Beside(domain=harmonizer.site, covariates=covariates)
        return harmonized_by(method, scans, None, harmonizer.seed, device, beside)
    except Exception as error:
        if isinstance(error, HarmbenchError) and not isinstance(error, ContractError):
            raise
        raise BadScanError(f"{harmonizer.method} failed: {one_line(error)}") from error
