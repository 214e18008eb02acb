"""White-matter segmentation of harmonised scans by a network that was trained on the target."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import ClassVar

import pandas as pd

from harmbench import (
    BatchScorer,
    Cohort,
    Family,
    Instrument,
    Metric,
    Scans,
    ScanSet,
    Scorer,
    ScoringContext,
    SkipCell,
    Task,
    TaskData,
)

from .domains import choose, why_unlabelled
from .segmenter import WHITE, Segmenter

SEGMENTER = "segmenter"


def labelled_target(cohort: Cohort) -> tuple[ScanSet, ScanSet]:
    """Return the target's training and validation scans that have labels.

    Raises
    ------
    SkipCell
        If no training scan has.
    """
    train, validation = (
        cohort.scans(cohort.target, split, labelled=True) for split in ("train", "validation")
    )
    if not len(train):
        why = why_unlabelled(cohort, cohort.target, "train")
        raise SkipCell(
            f"no training scan of the target '{cohort.target}' has labels to learn from{why}"
        )
    return train, validation


class SegmentationScorer(BatchScorer):
    """Segments harmonised scans, and scores the segmentation by every metric of labels.

    Parameters
    ----------
    segmenter
        The instrument.
    score
        Scores a batch that was segmented.
    """

    def __init__(
        self, segmenter: Instrument, score: Callable[[Scans, Scans | None], pd.DataFrame]
    ) -> None:
        super().__init__(lambda harmonized, references: score(segmenter(harmonized), references))
        self._segmenter = segmenter

    def annotated(self, scans: Scans) -> Scans:
        """Return scans with the white matter that the segmenter finds."""
        segmented: Scans = self._segmenter(scans)
        return segmented


class WhiteMatter(Task):
    """Segment the white matter of harmonised scans with a network that knows the target alone.

    The scores are the metrics that compare predicted with true labels. Two bounds are recorded
    with every cell: the scores of the source as it is, and of scans of the target: of the same
    subjects if they were scanned on it, otherwise of subjects held out.

    Parameters
    ----------
    source
        Name of the source domain.
    """

    summary = "segment white matter on harmonised scans by a network of the target's"
    family = Family.DOWNSTREAM
    instruments: ClassVar[Mapping[str, type[Instrument]]] = {SEGMENTER: Segmenter}
    headline = ("dice", "hd95", "volume_difference")

    def __init__(self, source: str) -> None:
        self.source = source
        self.name = f"wmseg-{source}"

    def setup(self, cohort: Cohort, seed: int) -> TaskData:
        """Choose the labelled test scans; nothing is random.

        Raises
        ------
        SkipCell
            If source or target lack scans with white-matter labels.
        """
        labelled = labelled_target(cohort)
        data = choose(cohort, self.source, labelled=True)
        labelled_indices, empty = [], []
        for index, scan in enumerate(data.test.scans):
            labels = data.test.load([index]).labels
            if labels is not None and bool((labels == WHITE).any()):
                labelled_indices.append(index)
            else:
                empty.append(f"{scan.subject}/{scan.session}")
        if not labelled_indices:
            raise SkipCell(f"the labels of source '{self.source}' have no white matter")
        references, repeats = (
            scans and scans.subset(labelled_indices) for scans in (data.references, data.repeats)
        )
        extra = {}
        if references is None:
            splits = (cohort.scans(cohort.target, s, labelled=True) for s in ("test", "validation"))
            extra = {"held out": next((scans for scans in splits if len(scans)), labelled[1])}
        return replace(
            data,
            test=data.test.subset(labelled_indices),
            references=references,
            repeats=repeats,
            labelled=labelled,
            extra=extra,
            parameters={**data.parameters, **({"no white matter": empty} if empty else {})},
        )

    def scorer(self, context: ScoringContext) -> Scorer:
        """Return a scorer that segments first."""

        def score(segmented: Scans, references: Scans | None) -> pd.DataFrame:
            return overlaps(segmented, context)

        return SegmentationScorer(context.instruments[SEGMENTER], score)

    def bounds(self, context: ScoringContext) -> Mapping[str, pd.DataFrame]:
        """Return the scores of the source as it is, and of target scans."""
        data = context.data
        sets = {"source as it is": data.test}
        if data.references is not None:
            sets["target scans of the same subjects"] = data.references
        elif len(data.extra["held out"]):
            sets["target scans of other subjects"] = data.extra["held out"]
        segmenter = context.instruments[SEGMENTER]
        return {
            title: pd.concat(
                [overlaps(segmenter(batch), context) for batch in scans.batches()],
                ignore_index=True,
            )
            for title, scans in sets.items()
        }


def overlaps(segmented: Scans, context: ScoringContext) -> pd.DataFrame:
    """Score scans with predicted labels by the metrics that need predicted labels."""
    target = context.data.target
    bare = replace(segmented, predicted=None)

    def of_labels(metric: Metric) -> bool:
        return metric.applies(segmented, None, target) and not metric.applies(bare, None, target)

    tables = [m.table(segmented, None, target) for m in context.metrics if of_labels(m)]
    return pd.concat(tables, ignore_index=True)
