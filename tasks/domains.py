"""Real source domains: scans of one scanner, to be brought to the look of another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pandas as pd

from harmbench import (
    Cohort,
    Family,
    ScoringContext,
    SkipCell,
    Task,
    TaskData,
    training_scans,
)

from . import domain_task
from .repeats import noise_free, repeats_of


def choose(cohort: Cohort, source: str, *, labelled: bool = False) -> TaskData:
    """Choose the scans of a source domain to test on, and what methods may be fitted on.

    If test subjects were also scanned on the target scanner, in the same space, only they are
    tested, against those scans, as in the paper. Otherwise all subjects of the source's test
    split are tested, and there is no truth.

    Training scans of source and target are of different subjects: training subjects with scans
    of the target and of any source are divided into two halves. The target scans are the same
    for every source. Pairs are of all training subjects that have them.

    Parameters
    ----------
    cohort, source
        The cohort, and the name of the source domain.
    labelled
        Whether to test on scans with labels alone; what methods are fitted on is the same.

    Raises
    ------
    SkipCell
        If the source has no such test scans, or the target none to fit on.
    """
    pairs = cohort.pairs(source, "test", labelled=labelled)
    test, references = pairs or (cohort.scans(source, "test", labelled=labelled), None)
    source_scans, target = training_scans(cohort, source)
    if not len(test):
        if labelled and len(cohort.scans(source, "test")):
            why = why_unlabelled(cohort, source, "test")
            raise SkipCell(f"source '{source}' has no test scans that have labels{why}")
        raise SkipCell(f"source '{source}' has no test scans")
    if not len(target):
        raise SkipCell(
            f"target '{cohort.target}' has no training scans; --fit-cohort names a cohort that has"
        )
    repeats, no_repeats = None, "no test subject was also scanned on the target scanner"
    if references is not None:
        repeats, no_repeats = repeats_of(cohort, references)
    return TaskData(
        target=target,
        validation=cohort.scans(cohort.target, "validation"),
        test=test,
        references=references,
        repeats=repeats,
        no_repeats=no_repeats,
        source=source_scans,
        pairs=cohort.pairs(source, "train"),
        no_pairs=(
            f"no subject was scanned on both '{source}' and '{cohort.target}' in the same space"
        ),
        parameters={"source": source, "paired": references is not None},
    )


def why_unlabelled(cohort: Cohort, domain: str, split: str) -> str:
    """Return why the first unusable label volume was rejected, in brackets, or ""."""
    table = cohort.table
    chosen = table[(table["domain"] == domain) & (table["split"] == split) & ~table["labelled"]]
    reasons = [details["labels"] for details in chosen["details"] if details.get("labels")]
    return f" (of the first: {reasons[0]})" if reasons else ""


class Domain(Task):
    """Harmonise the test scans of a source domain; see `choose`.

    Parameters
    ----------
    source
        Name of the source domain.
    """

    summary = "harmonise the scans of a source scanner"
    family = Family.SCANNERS

    def __init__(self, source: str) -> None:
        self.source = source
        self.name = domain_task(source)

    def setup(self, cohort: Cohort, seed: int) -> TaskData:
        """Choose the scans; nothing is random."""
        data = choose(cohort, self.source)
        scans = None if data.references is None else noise_free(cohort, data.references)
        return data if scans is None else replace(data, extra={"noise free": scans})

    def bounds(self, context: ScoringContext) -> Mapping[str, pd.DataFrame]:
        """Return the scores of the subject's scan on the target scanner without noise."""
        data = context.data
        if "noise free" not in data.extra or data.references is None:
            return {}
        # In the masks of the source scans, as methods are scored.
        scored = [
            self.score(replace(scans, masks=source.masks), references, data, context.metrics)
            for scans, source, references in zip(
                data.extra["noise free"].batches(),
                data.test.batches(),
                data.references.batches(),
                strict=True,
            )
        ]
        return {"target scans without noise": pd.concat(scored, ignore_index=True)}
