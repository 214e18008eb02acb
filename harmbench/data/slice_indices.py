"""Flat indices of slices, as users give them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

SliceIndices = Tensor | npt.NDArray[np.integer[Any]] | Sequence[int]

_WHOLE = (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)


def slice_indices(indices: SliceIndices, n_slices: int) -> Tensor:
    """Return flat indices of slices as a tensor `(B,)` of int64.

    Parameters
    ----------
    indices
        B whole numbers: a tensor, an array or any sequence.
    n_slices
        Number of slices.

    Raises
    ------
    TypeError
        If they are no whole numbers in one dimension.
    IndexError
        If one is outside [0, n_slices).

    Examples
    --------
    >>> slice_indices(range(3), 10)
    tensor([0, 1, 2])
    """
    try:
        numbers = torch.as_tensor(indices, device="cpu") if len(indices) else torch.arange(0)
    except (TypeError, ValueError, RuntimeError):
        found = type(indices).__name__
    else:
        if numbers.dim() == 1 and numbers.dtype in _WHOLE:
            outside = numbers[(numbers < 0) | (numbers >= n_slices)]
            if len(outside):
                raise IndexError(f"no slice {int(outside[0])}: slices are 0 to {n_slices - 1}")
            return numbers.long()
        found = f"{numbers.dtype} of shape {tuple(numbers.shape)}"
    raise TypeError(f"slices are chosen by whole numbers in one dimension, not by {found}")
