"""The instrument of the biology tasks: a U-Net that finds three tissues on target scans."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import torch
from torch import Tensor

from harmbench import Scans

from .segmentation_network import LabelAugmentation, SegmentationNetwork, most_probable
from .tissue_instrument import TISSUES, TissueInstrument


class TissueAugmentation(LabelAugmentation):
    """The random affine transforms of a slice and its tissues; see `LabelAugmentation`."""

    def __call__(self, image: Tensor, classes: Tensor, seed: int) -> tuple[Tensor, Tensor]:
        """Transform a slice in [0, 1] and its labels, `(H, W)` each, by what `seed` draws."""
        maps = [(classes == value).float() for value in (0, *TISSUES.values())]
        moved = self._moved([image, *maps], seed)
        # Outside of the slice all maps are 0, so the background is the largest, as the first.
        return moved[0].clamp(0, 1), moved[1:].argmax(dim=0)


class TissueSegmenter(SegmentationNetwork, TissueInstrument):
    """A 2-D U-Net (MONAI's) that finds fluid, grey and white matter."""

    name = "tissue-segmenter"
    summary = "a U-Net trained to find fluid, grey and white matter on the target's scans"
    tissues = TISSUES
    augmentation = TissueAugmentation

    def classes(self, labels: Tensor) -> Tensor:
        """Return the labels: their values are the numbers of the tissues."""
        return labels

    @property
    def digest(self) -> str:
        """Content hash of the class and its weights."""
        content = hashlib.blake2b(type(self).__qualname__.encode())
        for name, value in self.state_dict().items():
            content.update(name.encode() + value.cpu().numpy().tobytes())
        return content.hexdigest()

    @torch.no_grad()
    def segmented(self, scans: Scans) -> tuple[Scans, Tensor]:
        """Return what `forward` and `probabilities` return, by one pass through the network."""
        N, S, H, W = scans.images.shape
        scores = list(self._scores(scans))
        parts = [part.softmax(dim=1)[:, 1:].to(scans.images.device) for part in scores]
        tissues = torch.cat(parts).view(N, S, len(TISSUES), H, W).transpose(1, 2)
        predicted = most_probable(scores, scans) * scans.masks
        return replace(scans, predicted=predicted), tissues * scans.masks[:, None]
