"""Which of several T1w files of a session is preferred, by the entities of their names."""

from __future__ import annotations

from collections.abc import Sequence

from harmbench.cohorts.bids.scan import Scan
from harmbench.util.natural import natural

# In the order of their weight. A file without the entity comes before one with it: a derived or
# resampled image, one with contrast agent, an inversion, a part or an echo of a sequence, another
# reconstruction, another sequence, a repeat.
_ORDER = ("desc", "space", "ce", "inv", "part", "echo", "rec", "acq", "run")
_PHASES = ("phase", "imag", "real")


def no_t1w_image(scan: Scan) -> str | None:
    """Return why a file that is called T1w is no image of T1w magnitude, or None."""
    part, inversion = (scan.entities.get(name, "") for name in ("part", "inv"))
    if part.casefold() in _PHASES:
        return f"part-{part} is no magnitude image"
    if inversion.lstrip("0") == "1":
        return f"inv-{inversion} is the first inversion of an MP2RAGE, which is not T1-weighted"
    return None


def by_preference(scans: Sequence[Scan]) -> list[Scan]:
    """Return the T1w files of a session in the order in which they are preferred.

    Files with a sidecar come first. Then each of the entities `desc`, `space`, `ce`, `inv`,
    `part`, `echo`, `rec`, `acq` and `run` decides in this order: a file without it comes before
    one with it, a lower number before a higher one, and texts in alphabetical order.
    """
    return sorted(scans, key=lambda scan: ([rank for rank, _ in _ranks(scan)], scan.path.name))


def why_preferred(first: Scan, other: Scan) -> str:
    """Return in a word by what a file comes after the first of its session."""
    for (rank, _), (other_rank, word) in zip(_ranks(first), _ranks(other), strict=True):
        if rank != other_rank:
            return word
    return "file name"


def _ranks(scan: Scan) -> list[tuple[tuple[object, ...], str]]:
    """Return what decides in turn, a rank and the word for it."""
    ranks: list[tuple[tuple[object, ...], str]] = [((scan.sidecar is None,), "no sidecar")]
    for entity in _ORDER:
        value = scan.entities.get(entity)
        if value is None:
            ranks.append(((False,), f"no {entity}-"))
        else:
            ranks.append(((True, *natural(value)), f"{entity}-{value}"))
    return ranks
