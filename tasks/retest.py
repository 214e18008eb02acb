"""Test and retest: whether a subject's white matter has one volume on two scanners."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import pandas as pd

from harmbench import (
    Cohort,
    Estimate,
    Family,
    Instrument,
    Scans,
    ScanSet,
    Scorer,
    ScoringContext,
    SkipCell,
    Task,
    TaskData,
    ValueRange,
    bootstrap_draws,
    bootstrap_statistic,
    mean_interval,
)

from .domains import choose
from .repeats import matched, repeats_of, scanned_twice
from .segmentation import SEGMENTER, labelled_target
from .segmenter import WHITE, Segmenter

Array = npt.NDArray[np.float64]


def icc(volumes: Array) -> Array:
    r"""Intraclass correlation ICC(2,1): two-way random effects, agreement, one measurement.

    .. math::
        \frac{BMS - EMS}{BMS + (k - 1) EMS + k (JMS - EMS) / n}

    of n subjects measured k times each (Shrout and Fleiss, Psychological Bulletin 1979;86:420,
    table 4), with the mean squares of subjects, of measurements and of the rest. An offset of
    one measurement to the other lowers it, as an offset between scanners must.

    Parameters
    ----------
    volumes
        `(..., n, k)`, n and k at least 2.

    Returns
    -------
    Array
        `(...)`, at most 1; NaN where all volumes are equal.
    """
    n, k = volumes.shape[-2:]
    mean = volumes.mean(axis=(-2, -1), keepdims=True)
    subjects = volumes.mean(axis=-1, keepdims=True)
    measurements = volumes.mean(axis=-2, keepdims=True)
    between = k * ((subjects - mean) ** 2).sum(axis=(-2, -1)) / (n - 1)
    offset = n * ((measurements - mean) ** 2).sum(axis=(-2, -1)) / (k - 1)
    rest = volumes - subjects - measurements + mean
    error = (rest**2).sum(axis=(-2, -1)) / ((n - 1) * (k - 1))
    below = between + (k - 1) * error + k * (offset - error) / n
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio: Array = (between - error) / below
    return ratio


def squared_variation(volumes: Array) -> Array:
    """Return the squared coefficient of variation of each subject, in per cent squared.

    Parameters
    ----------
    volumes
        `(..., n, k)`: n subjects, measured k times each.

    Returns
    -------
    Array
        `(..., n)`: the sample variance over the squared mean.
    """
    values: Array = 1e4 * volumes.var(axis=-1, ddof=1) / volumes.mean(axis=-1) ** 2
    return values


def variation(volumes: Array) -> Array:
    """Return the within-subject coefficient of variation of `(..., n, k)`, in per cent: `(...)`.

    The root mean square over subjects (Bland and Altman, BMJ 1996;313:106): variances can be
    averaged, and a mean of the coefficients of few measurements would be too small.
    """
    values: Array = np.sqrt(squared_variation(volumes).mean(axis=-1))
    return values


def agreement(volumes: Array) -> dict[str, Estimate]:
    """Estimate the scores of subjects measured twice: `(n, 2)`.

    Coefficient of variation and ICC are numbers of all subjects together, with a bootstrap
    interval over subjects. The squared coefficient is a mean over subjects, so methods can be
    tested on it.
    """
    estimates = {
        "wm_volume_cv_squared": mean_interval(squared_variation(volumes)),
        "wm_volume_cv": bootstrap_statistic(volumes, variation),
    }
    if len(volumes) > 2:
        estimates["wm_volume_icc"] = bootstrap_statistic(volumes, icc)
    return estimates


class SegmentedVolumes:
    """Measures white matter.

    Parameters
    ----------
    segmenter
        The instrument.
    scans
        Any that lie on the grid.
    """

    def __init__(self, segmenter: Instrument, scans: ScanSet) -> None:
        self._segmenter = segmenter
        self._millilitres = float(np.prod(scans.grid.spacing)) / 1000

    def of(self, scans: Scans) -> list[float]:
        """Return the volume in each of N scans, in ml."""
        white = self._segmenter(scans).predicted == WHITE
        return [float(count) * self._millilitres for count in white.flatten(1).sum(dim=1)]

    def of_all(self, scans: ScanSet) -> list[float]:
        """Return the volume in each scan of a collection, in ml."""
        return [volume for batch in scans.batches() for volume in self.of(batch)]


class RetestScorer(Scorer):
    """Compares the volume on harmonised scans with that on the target's scan of the subject.

    Parameters
    ----------
    context
        What the cell is scored with.
    """

    def __init__(self, context: ScoringContext) -> None:
        self._segmenter = context.instruments[SEGMENTER]
        self._volumes = SegmentedVolumes(self._segmenter, context.data.test)
        self._target = context.data.extra["target"]
        self._rows: list[tuple[str, str, float, float]] = []

    def add(self, source: Scans, harmonized: Scans, references: Scans | None) -> None:
        """Measure a batch, and the target's scans of the same subjects."""
        indices = range(len(self._rows), len(self._rows) + len(harmonized))
        on_target = self._volumes.of(self._target.load(indices))
        on_source = self._volumes.of(harmonized)
        self._rows += zip(
            harmonized.subjects, harmonized.sessions, on_source, on_target, strict=True
        )

    def table(self) -> pd.DataFrame:
        """Return volumes in ml, harmonised and on the target's scanner, and their variation."""
        subjects, sessions, on_source, on_target = (
            list(column) for column in zip(*self._rows, strict=True)
        )
        columns = {
            "wm_volume_cv_squared": squared_variation(self._pairs(on_source, on_target)),
            "wm_volume": on_source,
            "wm_volume_target": on_target,
        }
        return pd.concat(
            [
                pd.DataFrame(
                    {"subject": subjects, "scan": sessions, "slice": -1, "metric": name, "value": v}
                )
                for name, v in columns.items()
            ],
            ignore_index=True,
        )

    def estimates(self, scores: pd.DataFrame) -> dict[str, Estimate]:
        """Return coefficient of variation and ICC; a volume by itself is neither good nor bad."""
        return agreement(_volumes(scores))

    def draws(self, scores: pd.DataFrame) -> dict[str, Array]:
        """Return bootstrap draws of both, for paired comparisons of methods."""
        volumes = _volumes(scores)
        draws = {"wm_volume_cv": bootstrap_draws(volumes, variation)}
        if len(volumes) > 2:
            draws["wm_volume_icc"] = bootstrap_draws(volumes, icc)
        return draws

    def annotated(self, scans: Scans) -> Scans:
        """Return scans with the white matter that the segmenter finds."""
        segmented: Scans = self._segmenter(scans)
        return segmented

    @staticmethod
    def _pairs(on_source: Sequence[float], on_target: Sequence[float]) -> Array:
        return np.array([on_source, on_target], dtype=np.float64).T


def _volumes(scores: pd.DataFrame) -> Array:
    """Return the subjects' volumes in order of name, harmonised and on the target: `(n, 2)`."""
    volumes = scores.pivot(index="subject", columns="metric", values="value").sort_index()
    return volumes[["wm_volume", "wm_volume_target"]].to_numpy(dtype=np.float64)


class Retest(Task):
    """Measure white matter on a harmonised scan and on the target's scan of the same subject.

    The scores are the coefficient of variation within a subject, in per cent, as root mean square
    over subjects, its square, and the ICC of all subjects. Where subjects were scanned twice on
    the target scanner, the agreement of these two scans is recorded with every cell, and the
    control `rescan` compares the repeat with the target scan: no method can be expected to do
    better. The target scan is the comparator and no truth: its agreement with itself is perfect
    for any method of measurement, so the task has no oracle. Neither labels of the source nor
    scans in one space are needed.

    Parameters
    ----------
    source
        Name of the source domain.
    """

    summary = "white-matter volume of harmonised scans against the target's of the same subjects"
    family = Family.DOWNSTREAM
    instruments: ClassVar[Mapping[str, type[Instrument]]] = {SEGMENTER: Segmenter}
    version = "2"
    measures: ClassVar[Mapping[str, bool]] = {
        "wm_volume_cv_squared": False,
        "wm_volume_cv": False,
        "wm_volume_icc": True,
    }
    ranges: ClassVar[Mapping[str, ValueRange]] = {
        "wm_volume_cv_squared": ValueRange(low=0.0),
        "wm_volume_cv": ValueRange(low=0.0),
        "wm_volume_icc": ValueRange(high=1.0),
    }
    uses_metrics = False
    headline = ("wm_volume_cv_squared", "wm_volume_cv", "wm_volume_icc")

    def __init__(self, source: str) -> None:
        self.source = source
        self.name = f"retest-{source}"

    def setup(self, cohort: Cohort, seed: int) -> TaskData:
        """Choose one scan of each subject on either scanner; nothing is random.

        Raises
        ------
        SkipCell
            If no subject was scanned on both, or the target has no labels to learn from.
        """
        labelled = labelled_target(cohort)
        data = choose(cohort, self.source)
        on_target = data.references or cohort.scans(cohort.target, "test")
        test, target = matched(data.test, on_target)
        if not len(test):
            raise SkipCell(
                f"no test subject was scanned on both '{self.source}' and '{cohort.target}'"
            )
        twice = scanned_twice(cohort)
        repeats, no_repeats = None, data.no_repeats
        if data.references is not None:
            repeats, no_repeats = repeats_of(cohort, target)
        extra = {"target": target}
        if twice is not None:
            extra |= {"first": twice[0], "second": twice[1]}
        return replace(
            data,
            test=test,
            references=None,
            repeats=repeats,
            no_repeats=no_repeats,
            labelled=labelled,
            extra=extra,
            parameters={
                **data.parameters,
                "repeated subjects": 0 if twice is None else len(twice[0]),
            },
        )

    def scorer(self, context: ScoringContext) -> Scorer:
        """Return a scorer that segments and compares volumes."""
        return RetestScorer(context)

    def bounds(self, context: ScoringContext) -> Mapping[str, Mapping[str, Estimate]]:
        """Return the agreement of the source as it is, and of two scans on the target's scanner."""
        extra = context.data.extra
        volumes = SegmentedVolumes(context.instruments[SEGMENTER], context.data.test)
        sets = {"source as it is": (context.data.test, extra["target"])}
        if "first" in extra:
            sets["repeat on the target's scanner"] = (extra["first"], extra["second"])
        return {
            title: agreement(np.array([volumes.of_all(side) for side in sides]).T)
            for title, sides in sets.items()
        }
