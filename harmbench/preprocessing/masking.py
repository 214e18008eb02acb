"""Step 2 of preprocessing: mask the brain, from zeros, a mask file or a tool, or keep the head."""

from __future__ import annotations

import dataclasses
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
from harmbench.preprocessing.brain_tools import Extractor
from harmbench.preprocessing.head_detection import contains_skull
from harmbench.preprocessing.mask_cache import Mask, cached_mask, mask_path
from harmbench.preprocessing.mask_checks import litres, shape_doubts, size_fault
from harmbench.preprocessing.nifti_read import Volume, load_labels, load_volume
from harmbench.preprocessing.undefined_voxels import fill_undefined
from harmbench.util.hashing import bytes_digest, digest

# Of the bright intensities: interpolation leaves smaller values around an extracted brain.
_BACKGROUND = 0.005


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


@dataclass(frozen=True, eq=False, kw_only=True)
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
    doubts
        Reasons to inspect the mask.
    head, stripped
        Whether the head is kept around the brain, and whether the file holds only the brain.
    cached
        The file that caches the mask, if a tool made it.
    """

    volume: Volume
    brain: Brain
    content: str | None
    extraction: str
    doubts: tuple[str, ...] = ()
    head: bool = False
    stripped: bool = False
    cached: Path | None = None

    @property
    def voxels_filled(self) -> int:
        """Number of voxels of the brain, or head, that are undefined in the file."""
        return self.brain.image.facts.filled


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

    Each scan is judged on its own: a brain-extracted scan is used as it is, a head is
    extracted by the tool.

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
    ToolError
        If the tool fails.
    BadScanError
        If the volume is empty, or the masked volume has not the size of a brain.
    """
    name = source.path.name
    if source.heads:
        head = crop_head(volume, name)
        extraction = "none: the head was kept"
        return MaskedScan(
            volume=volume, brain=head, content=source.content, extraction=extraction, head=True
        )
    if source.mask is not None:
        masked = _apply_mask(volume, load_labels(source.mask, volume).data > 0, name)
        mask_name = source.mask.name
        title = f"inside its brain mask {mask_name}"
        return _checked(masked, name, source.content, title=title, extraction=f"by {mask_name}")
    brain = _without_noise(volume, name)
    if brain is not None:
        return _checked(
            brain, name, source.content, extraction="none: it was brain-extracted", stripped=True
        )
    return _extracted(volume, source, home)


def _extracted(volume: Volume, source: BrainSource, home: Path) -> MaskedScan:
    """Extract the brain of a head by the tool."""
    name, extractor = source.path.name, source.extractor
    if extractor is None:
        size = litres(volume.data, volume)
        raise HeadError(
            f"{name} is a head ({size:.1f} L) without a brain mask; leave out --brain-extraction "
            "none"
        )
    mask = cached_mask(extractor, volume, name, source.content, home)
    # The voxels: a compressed file also depends on its compression.
    content = _masked_content(source.content, bytes_digest(np.packbits(mask).tobytes()))
    return _checked(
        _apply_mask(volume, mask, name),
        name,
        content,
        title=f"inside the mask of {extractor.title}",
        extraction=extractor.title,
        cached=mask_path(extractor, source.content, home),
    )


def _apply_mask(volume: Volume, mask: Mask, name: str) -> Volume:
    """Set a volume to zero outside a mask on its voxels; `name` is the file's."""
    volume = fill_undefined(volume, mask, name)
    return dataclasses.replace(volume, data=np.where(mask, volume.data, np.float32(0)))


def _without_noise(volume: Volume, name: str) -> Volume | None:
    """Return the volume if it is brain-extracted, without noise around the brain; else None."""
    nonzero = volume.data != 0
    if not nonzero.any():
        return volume
    size = np.abs(volume.data)
    above = size > _BACKGROUND * np.percentile(size[nonzero], 99)
    # The size alone is not sufficient: a child's head without the neck is as large as a brain.
    # A fragment, or a volume in wrong units, is rejected later.
    extent = litres(above, volume)
    is_fragment = extent < MIN_BRAIN_LITRES
    if extent > MAX_BRAIN_LITRES or (not is_fragment and contains_skull(volume, above)):
        return None
    if litres(nonzero, volume) <= MAX_BRAIN_LITRES:
        return volume
    return _apply_mask(volume, above, name)


def _checked(
    masked: Volume,
    name: str,
    content: str | None,
    *,
    extraction: str,
    title: str = "",
    stripped: bool = False,
    cached: Path | None = None,
) -> MaskedScan:
    """Crop the brain from a masked volume, after a check of its size.

    Raises
    ------
    BadScanError
        If the volume is empty, or has not the size of a brain.
    """
    where = f" {title}" if title else ""
    if not masked.data.any():
        raise BadScanError(f"{name} is empty{where}: no voxel differs from the background")
    fault = size_fault(masked.data, masked)
    if fault is not None:
        fix = "mask" if title else "voxel sizes"
        raise BadScanError(f"{name}{where} {fault}; check the {fix}")
    return MaskedScan(
        volume=masked,
        brain=crop_brain(masked, name),
        content=content,
        extraction=extraction,
        doubts=shape_doubts(masked.data, masked),
        stripped=stripped,
        cached=cached,
    )


def _masked_content(volume: str | None, mask: str | None) -> str:
    return digest("masked", volume, mask)
