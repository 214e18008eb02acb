"""From a scan's file to the brain that is prepared: by its zeros, a mask, a tool, or not at all."""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from harmbench.preprocessing.brain_tools import Extractor, extracted_mask
from harmbench.preprocessing.masking import Brain, extract, foreground
from harmbench.preprocessing.nifti_read import HeadError, Volume, load_volume, only_brain
from harmbench.util.hashing import bytes_digest, digest


@dataclass(frozen=True)
class BrainSource:
    """What a brain is cut out of, and by what.

    Attributes
    ----------
    path, mask
        The T1w volume, and the volume of its brain's mask or None.
    content
        Digest of the two.
    extractor
        The tool for a volume that turns out to need one, or None.
    heads
        Whether the head stays around the brain.
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
        """Return the source of a volume, with the digests of both files at hand."""
        content = digests[path]
        if heads:
            return cls(path, None, digest("head", content), heads=True)
        if mask is not None:
            return cls(path, mask, _masked(content, digests[mask]))
        return cls(path, None, content, extractor)


@dataclass(frozen=True, eq=False)
class Cut:
    """A brain, or a head, and how it was cut out.

    Attributes
    ----------
    volume
        The whole volume, zero where a mask says so.
    brain
        What was cut out of it.
    content
        Digest of everything that depends on.
    how
        What was done, in words.
    """

    volume: Volume
    brain: Brain
    content: str | None
    how: str


def cut(source: BrainSource, home: Path) -> Cut:
    """Cut a brain out of its volume.

    Parameters
    ----------
    source
        The files.
    home
        Where masks that a tool made are kept.

    Raises
    ------
    BadScanError
        If there is no telling where the brain is, or what was cut out is none.
    """
    volume = load_volume(source.path)
    if source.heads:
        head = foreground(volume, source.path.name)
        return Cut(volume, head, source.content, "none: the head was kept")
    try:
        whole = only_brain(volume, source.path, source.mask)
    except HeadError:
        if source.extractor is None:
            raise
        mask = extracted_mask(source.extractor, source.path, source.content, home)
        title = source.extractor.title
        whole = only_brain(volume, source.path, mask, f"the mask of {title}")
        # Of the voxels: when a file was compressed makes no difference.
        content = _masked(source.content, bytes_digest(gzip.decompress(mask.read_bytes())))
        return Cut(whole, extract(whole), content, title)
    how = "none: it was brain-extracted" if source.mask is None else f"by {source.mask.name}"
    return Cut(whole, extract(whole), source.content, how)


def _masked(volume: str | None, mask: str | None) -> str:
    return digest("masked", volume, mask)
