"""Pairs of prepared scans of one subject, and whether they show one brain."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from harmbench.cohorts.study.digests import StudyDigests
from harmbench.cohorts.study.preparation import UsableScan
from harmbench.cohorts.study.same_brain import SAME_BRAIN, similarity
from harmbench.data.scan_files import array_path
from harmbench.data.scans import Grid


@dataclass(frozen=True)
class ScanPair:
    """A source scan and the target scan of the same subject.

    Attributes
    ----------
    source, target
        The two scans.
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


def measured(pairs: Sequence[ScanPair], grid: Grid) -> list[ScanPair]:
    """Return the pairs with their similarity, from the prepared arrays on disk."""
    return [
        ScanPair(
            pair.source,
            pair.target,
            round(similarity(*_arrays(pair.source), *_arrays(pair.target), grid.spacing), 4),
        )
        for pair in pairs
    ]


def scan_pairs(usable: Sequence[UsableScan], digests: StudyDigests) -> list[ScanPair]:
    """Return the scans of one subject in the same space: each source scan and its target scan.

    Without rules for pairs in the recipe, all scans of a subject are in the same space, and a
    source scan is paired with the subject's first target scan. A file is no pair with itself.
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
        if scan.domain != recipe.target and target is not None:
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


def _arrays(scan: UsableScan) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    folder, row = scan.job.folder, scan.job.row
    image, mask = (np.load(array_path(folder, name, row)) for name in ("images", "masks"))
    return image, mask
