"""Travelling subjects: scans of one subject on many scanners, registered to each other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pandas as pd

from harmbench import (
    Cohort,
    Family,
    ScanSet,
    ScoringContext,
    SkipCell,
    Task,
    TaskData,
)

from . import domain_task
from .domains import choose
from .repeats import repeats_in_its_space

# Titles of the reference values, which are also the names of the scans behind them.
TARGET_REPEAT = "repeat on the target scanner"
SOURCE_REPEAT = "repeat on the source scanner"


def repeated(cohort: Cohort, domain: str) -> tuple[ScanSet, ScanSet] | None:
    """Return the first scan of each subject on a scanner, and a repeat in the same space.

    Of all subjects, in training or not, since repeatability needs no fit.

    Returns
    -------
    tuple or None
        Two scan sets of equal length; None if no subject has a repeat.
    """
    scans = cohort.scans(domain)
    first: list[int] = []
    second: list[int] = []
    for index, scan in enumerate(scans.scans):
        if scan.subject in {scans.subjects[place] for place in first}:
            continue
        repeats = repeats_in_its_space(cohort, domain, scan, scans)
        if repeats:
            first.append(index)
            second.append(repeats[0])
    return (scans.subset(first), scans.subset(second)) if first else None


class Travel(Task):
    """Harmonise the scans of travelling subjects; the truth is their scan on the target scanner.

    All scans of a subject are registered rigidly to the subject's first visit to the target
    scanner. The repeatability of the target scanner, and of the source scanner, are reference
    values: scores of a second visit to a scanner against the first.

    Parameters
    ----------
    source
        Name of the source domain.
    """

    summary = "harmonise scans of travelling subjects to the same subject's scan on the target"
    family = Family.SCANNERS

    def __init__(self, source: str) -> None:
        self.source = source
        self.name = f"travel-{source}"
        # On the same scans as the task of the source domain.
        self.group = domain_task(source)

    def setup(self, cohort: Cohort, seed: int) -> TaskData:
        """Choose the scans; nothing is random."""
        if not cohort.facts.get("travelling"):
            raise SkipCell(
                f"the scans of a subject in cohort '{cohort.name}' are not registered to the "
                'first on the target scanner; the recipe needs pairs = {reference = "first"}'
            )
        data = choose(cohort, self.source)
        if data.references is None:
            raise SkipCell(
                f"no test subject was scanned on both '{self.source}' and '{cohort.target}'"
            )
        extra: dict[str, ScanSet] = {}
        for title, domain in ((TARGET_REPEAT, cohort.target), (SOURCE_REPEAT, self.source)):
            scans = repeated(cohort, domain)
            if scans is not None:
                extra |= {title: scans[1], f"first of {title}": scans[0]}
        return replace(data, extra=extra)

    def bounds(self, context: ScoringContext) -> Mapping[str, pd.DataFrame]:
        """Return the scores of repeats on both scanners."""
        extra = context.data.extra
        bounds = {}
        for title in (TARGET_REPEAT, SOURCE_REPEAT):
            if title not in extra:
                continue
            scored = [
                self.score(again, first, context.data, context.metrics)
                for again, first in zip(
                    extra[title].batches(), extra[f"first of {title}"].batches(), strict=True
                )
            ]
            bounds[title] = pd.concat(scored, ignore_index=True)
        return bounds
