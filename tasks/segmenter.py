"""The instrument of the downstream tasks: a U-Net that finds white matter on target scans."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar

import torch
from torch import Tensor

from harmbench import Scans, ScanSet, UserError

from .segmentation_network import LabelAugmentation, SegmentationNetwork, most_probable

WHITE = 3  # value of the tissue labels


class Augmentation(LabelAugmentation):
    """The random affine transforms of a slice and its white matter; see `LabelAugmentation`."""

    def __call__(self, image: Tensor, classes: Tensor, seed: int) -> tuple[Tensor, Tensor]:
        """Transform a slice in [0, 1] and its white matter in {0, 1}, by what `seed` draws.

        Both are `(H, W)`. What was interpolated is white matter if more than half of it was.
        """
        moved = self._moved([image, classes], seed)
        return moved[0].clamp(0, 1), (moved[1] > 0.5).float()


class Segmenter(SegmentationNetwork):
    """A 2-D U-Net (MONAI's) that says of each pixel whether it is white matter."""

    name = "segmenter"
    summary = "a U-Net trained to find white matter on the target's scans"
    tissues: ClassVar[Mapping[str, int]] = {"wm": WHITE}
    augmentation = Augmentation

    def classes(self, labels: Tensor) -> Tensor:
        """Return where white matter is, in {0, 1}."""
        return (labels == WHITE).float()

    def _check_labels(self, target: ScanSet) -> None:
        if not any(_white(scans).any() for scans in target.batches()):
            raise UserError(
                f"the labels of '{target.domain}' have no white matter; see [labels] in the recipe"
            )

    @torch.no_grad()
    def forward(self, scans: Scans) -> Scans:
        """Find the white matter of N scans.

        Parameters
        ----------
        scans
            Images `(N, S, H, W)` in [0, 1], on any device; any number of slices.

        Returns
        -------
        Scans
            With `predicted`, `(N, S, H, W)` uint8 on the device of the images: 3 where white
            matter was found, else 0.
        """
        return replace(scans, predicted=most_probable(self._scores(scans), scans) * WHITE)


def _white(scans: Scans) -> Tensor:
    """Return where the true white matter of labelled scans is: bool `(N, S, H, W)`."""
    assert scans.labels is not None
    return scans.labels == WHITE
