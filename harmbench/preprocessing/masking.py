"""Step 2 of preprocessing: mask the brain, from zeros, a mask file or a tool, or keep the head."""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from harmbench.errors import BadScanError
from harmbench.preprocessing.brain import (
    MAX_BRAIN_LITRES,
    MIN_BRAIN_LITRES,
    Brain,
    crop_brain,
    crop_head,
)
from harmbench.preprocessing.brain_tools import Extractor, extracted_mask
from harmbench.preprocessing.nifti_read import Volume, load_labels, load_volume
from harmbench.util.hashing import bytes_digest, digest

_MASK_ADVICE = (
    "install mri_synthstrip (FreeSurfer) or hd-bet (used automatically), or give a mask made "
    "by HD-BET or SynthStrip, as a derivative "
    "(derivatives/NAME/sub-.../anat/..._desc-brain_mask.nii.gz) or with --brain-mask, or keep "
    "heads with --no-brain-mask"
)


class HeadError(BadScanError):
    """A volume without a mask that contains more than a brain."""


@dataclass(frozen=True, kw_only=True)
class BrainSource:
    """The files that a brain is cropped from, and the method.

    Attributes
    ----------
    path, mask
        The T1w volume, and the volume with its brain mask or None.
    content
        Digest of both files.
    extractor
        The tool to use if the volume turns out to contain a head, or None.
    heads
        Whether the head is kept around the brain.
    """

    path: Path
    mask: Path | None
    content: str | None
    extractor: Extractor | None = None
    heads: bool = False

    @classmethod
    def of(
        cls,
        path: Path,
        mask: Path | None,
        digests: Mapping[Path, str | None],
        extractor: Extractor | None = None,
        *,
        heads: bool = False,
    ) -> Self:
        """Return the source of a volume, given the digests of both files."""
        content = digests[path]
        if heads:
            return cls(path=path, mask=None, content=digest("head", content), heads=True)
        if mask is not None:
            return cls(path=path, mask=mask, content=_masked_content(content, digests[mask]))
        return cls(path=path, mask=None, content=content, extractor=extractor)


@dataclass(frozen=True, eq=False)
class MaskedScan:
    """A brain, or a head, and how it was masked.

    Attributes
    ----------
    volume
        The full volume, zero outside the mask (unchanged where the head is kept).
    brain
        The brain, cropped from it.
    content
        Digest of everything that the brain depends on.
    extraction
        How it was masked, as shown to the user.
    """

    volume: Volume
    brain: Brain
    content: str | None
    extraction: str


def load_masked(source: BrainSource, home: Path) -> MaskedScan:
    """Read a scan and mask its brain: steps 1 and 2.

    Raises
    ------
    BadScanError
        As `load_volume` and `mask_scan`.
    """
    return mask_scan(load_volume(source.path), source, home)


def mask_scan(volume: Volume, source: BrainSource, home: Path) -> MaskedScan:
    """Mask the brain of a volume.

    Parameters
    ----------
    volume, source
        The volume, and the files it comes from.
    home
        The folder that caches masks made by a tool.

    Raises
    ------
    HeadError
        If the volume contains a head, and there is neither a mask nor a tool.
    BadScanError
        If the volume is empty, or the masked volume has not the size of a brain.
    """
    name = source.path.name
    if source.heads:
        head = crop_head(volume, name)
        return MaskedScan(volume, head, source.content, "none: the head was kept")
    if source.mask is not None:
        masked = _apply_mask(volume, source.mask)
        brain = _checked_brain(masked, name, f"its mask {source.mask.name}")
        return MaskedScan(masked, brain, source.content, f"by {source.mask.name}")
    try:
        brain = _checked_brain(volume, name)
        return MaskedScan(volume, brain, source.content, "none: it was brain-extracted")
    except HeadError:
        if source.extractor is None:
            raise
    mask = extracted_mask(source.extractor, source.path, source.content, home)
    masked = _apply_mask(volume, mask)
    brain = _checked_brain(masked, name, f"the mask of {source.extractor.title}")
    # Hash the voxels: a compressed file also depends on the time of its compression.
    content = _masked_content(source.content, bytes_digest(gzip.decompress(mask.read_bytes())))
    return MaskedScan(masked, brain, content, source.extractor.title)


def _apply_mask(volume: Volume, mask: Path) -> Volume:
    """Set a volume to zero outside a mask file on its voxels."""
    inside = load_labels(mask, volume).data > 0
    return Volume(np.where(inside, volume.data, 0), volume.affine)


def _checked_brain(volume: Volume, name: str, mask_title: str | None = None) -> Brain:
    """Crop the brain from a masked volume, after a check of its size.

    Raises
    ------
    HeadError
        If no mask was applied, and the volume is too large for a brain.
    BadScanError
        If the volume is empty, or has not the size of a brain.
    """
    masked = "" if mask_title is None else f" with {mask_title}"
    if not (volume.data > 0).any():
        raise BadScanError(f"{name} is empty{masked}: no voxel is above zero")
    litres = np.count_nonzero(volume.data) * volume.voxel_volume / 1e6
    if litres > MAX_BRAIN_LITRES:
        reason = (
            f"{name} is not brain-extracted{masked}: {litres:.1f} L are not zero "
            f"(expected <= {MAX_BRAIN_LITRES} L)"
        )
        if mask_title is None:
            raise HeadError(f"{reason}; {_MASK_ADVICE}")
        raise BadScanError(f"{reason}; check the mask")
    if litres < MIN_BRAIN_LITRES:
        raise BadScanError(
            f"{name}: brain volume{masked} is only {litres:.2f} L "
            f"(expected >= {MIN_BRAIN_LITRES} L); check the voxel sizes"
        )
    return crop_brain(volume)


def _masked_content(volume: str | None, mask: str | None) -> str:
    return digest("masked", volume, mask)
