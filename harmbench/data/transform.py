"""The contract of a shift of slices."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor


class Transform(Protocol):
    """A pure function of slices, whose randomness was drawn into parameters beforehand.

    `digest` identifies it by content: equal digests mean equal outputs.
    """

    @property
    def digest(self) -> str:
        """Content hash of the function and its parameters."""
        ...

    def __call__(self, images: Tensor, masks: Tensor, scan: Tensor, index: Tensor) -> Tensor:
        """Transform B slices.

        Parameters
        ----------
        images, masks
            `(B, H, W)` float32 in [0, 1], and bool.
        scan
            `(B,)` int64: which scan of the collection each slice belongs to.
        index
            `(B,)` int64: which slice of that scan it is, in [0, S).

        Returns
        -------
        Tensor
            `(B, H, W)` float32 in [0, 1].
        """
        ...
