"""Pairs of prepared scans of one subject, and whether they show one brain."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from harmbench.cohorts.study.digests import StudyDigests
from harmbench.cohorts.study.preparation import UsableScan
from harmbench.cohorts.study.same_brain import SAME_BRAIN, similarity
from harmbench.data.scan_files import array_path
from harmbench.data.scans import Grid
from harmbench.util.processes import in_processes
from harmbench.util.progress import Progress

_ARRAYS = ("images", "masks")
_PAIRS_PER_WORKER = 50  # to start a process takes longer than to compare a few pairs


@dataclass(frozen=True)
class ScanPair:
    """A scan and the scan of the same subject whose space it lies in.

    Attributes
    ----------
    source, target
        The two scans; the first may be a repeat on the target scanner. The second is a target
        scan, except for a travelling subject that was not scanned on the target scanner.
    similarity
        Their similarity; None before it is measured.
    """

    source: UsableScan
    target: UsableScan
    similarity: float | None = None

    @property
    def doubtful(self) -> bool:
        """Whether the two may show different brains, or one is misplaced."""
        return self.similarity is not None and self.similarity < SAME_BRAIN


def measured(pairs: Sequence[ScanPair], grid: Grid, progress: Progress) -> list[ScanPair]:
    """Return the pairs with their similarity, from the prepared arrays on disk."""
    if not pairs:
        return []
    items = [(_arrays_of(pair.source), _arrays_of(pair.target)) for pair in pairs]
    finished = in_processes(_similarity, items, grid.spacing, least=_PAIRS_PER_WORKER)
    with contextlib.closing(finished):
        found = dict(progress.track(finished, "comparing pairs", len(items)))
    return [
        replace(pair, similarity=round(found[item], 4))
        for pair, item in zip(pairs, items, strict=True)
    ]


def scan_pairs(usable: Sequence[UsableScan], digests: StudyDigests) -> list[ScanPair]:
    """Return pairs of scans of one subject in the same space.

    Without rules for pairs in the recipe, all scans of a subject are in the same space, and a
    source scan is paired with the subject's first target scan. With rules, a scan is paired with
    the scan that it was registered to. A file is no pair with itself.
    """
    recipe = digests.settings.recipe
    targets: dict[str, UsableScan] = {}
    by_path: dict[Path, UsableScan] = {}
    for scan in usable:
        if scan.domain == recipe.target:
            targets.setdefault(scan.scan.subject, scan)
        by_path[scan.scan.path] = scan
    pairs = []
    for scan in usable:
        if recipe.pairs is None:
            target = targets.get(scan.scan.subject)
        else:
            target = None if scan.pair is None else by_path.get(scan.pair.partner.path)
        repeat = scan.domain == recipe.target and scan.pair is None
        if not repeat and target is not None:
            pairs.append(ScanPair(scan, target))
    return [pair for pair in pairs if not digests.identical(pair.source.scan, pair.target.scan)]


def pair_doubts(pairs: Sequence[ScanPair], name_of: Callable[[Path], str]) -> list[str]:
    """Return a line on each pair whose scans may show different brains."""
    return [
        f"{name_of(pair.source.scan.path)} and {name_of(pair.target.scan.path)} of subject "
        f"'{pair.source.scan.subject}' may show different brains: similarity "
        f"{pair.similarity:.2f}, of one brain above {SAME_BRAIN}; correct the labels, or the "
        "registration of the two"
        for pair in pairs
        if pair.doubtful
    ]


def _arrays_of(scan: UsableScan) -> tuple[Path, int]:
    """Return the place of the arrays of a scan: the folder of its domain, and its row."""
    return scan.job.folder, scan.job.row


def _similarity(
    pair: tuple[tuple[Path, int], tuple[Path, int]], spacing: tuple[float, float, float]
) -> float:
    image, mask, other, other_mask = (
        np.load(array_path(folder, name, row)) for folder, row in pair for name in _ARRAYS
    )
    return similarity(image, mask, other, other_mask, spacing)
