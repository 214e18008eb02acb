"""Scores of methods on one task in one metric, pooled over seeds and folds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pandas as pd

from harmbench.leaderboard.measure import Measure
from harmbench.leaderboard.run_values import (
    Run,
    fold_count,
    missing_folds_of,
    missing_images,
    runs_by_task,
    without_empty_folds,
)
from harmbench.statistics.estimate import Array, Estimate, mean_intervals
from harmbench.statistics.hypothesis import nan_mean
from harmbench.statistics.resampling import paired_difference
from harmbench.statistics.subjects import SubjectValues, decode_draws
from harmbench.store.columns import NO_VOTE

_SEVERITY = ("done", "partial", "incomplete", "skipped", "diverged", "failed")
_NO_ESTIMATE = Estimate(math.nan, math.nan, math.nan, 0)


@dataclass(frozen=True, kw_only=True)
class Score:
    """The score of one method on one task.

    Attributes
    ----------
    value
        Mean over subjects, each averaged over the seeds; NaN where there is none. For a metric
        of the whole cohort (such as an ICC): its mean over seeds and folds.
    low, high
        Bounds of the 95 % interval over subjects; for a metric of the whole cohort, the mean of
        the recorded bounds.
    n
        Number of subjects; 0 if the runs have no values by subject.
    by_seed
        Mean over subjects for each seed.
    status
        The worst status among seeds and folds, so that a failed one stays visible;
        `"incomplete"` if a fold was not run, and `"partial"` if a submission lacks images of test
        scans or a command failed on some: its value is shown, and neither ranked nor tested.
    reason
        Why there is no number.
    flags
        Warnings of the method, by "subject/session", of any seed.
    environments
        Versions of libraries and class of device, of each run.
    codes
        Hashes of the method's code in its runs; empty for old records.
    runs
        Ids of the runs, by seed and fold.
    label
        The method, with its changed settings.
    from_reference
        Difference to the reference line, subject by subject; None without a reference line, and
        for the reference line itself.
    subject_values
        Values by subject of all methods on the task.
    """

    value: float
    low: float
    high: float
    n: int
    by_seed: Mapping[int, float]
    status: str
    reason: str
    flags: Mapping[str, str] = field(repr=False)
    environments: tuple[Mapping[str, str], ...] = field(repr=False)
    codes: frozenset[str] = field(repr=False)
    runs: Mapping[tuple[int, int], str] = field(repr=False)
    label: str = field(repr=False)
    from_reference: Estimate | None = field(default=None, repr=False)
    subject_values: SubjectValues = field(repr=False)

    @cached_property
    def subjects(self) -> pd.Series:
        """Each subject's value, averaged over the seeds; empty if none was recorded."""
        return self.subject_values.column(self.label)

    @property
    def has_value(self) -> bool:
        """Whether the value is a number; infinity counts as one."""
        return not math.isnan(self.value)

    @property
    def counts(self) -> bool:
        """Whether the value is a number of all test scans, and so takes part in the ranking."""
        return self.has_value and self.status != "partial"

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds, in order."""
        return tuple(sorted({seed for seed, _ in self.runs}))

    @property
    def spread(self) -> float:
        """Standard deviation over seeds of the mean over subjects; NaN with one seed."""
        values = list(self.by_seed.values())
        if len(values) < 2 or not all(map(math.isfinite, values)):
            return math.nan
        return float(np.std(values, ddof=1))


@dataclass(frozen=True, kw_only=True, eq=False)
class TaskColumn:
    """One task in one metric: all methods' scores, and the values by subject behind them.

    Attributes
    ----------
    task, family, group, votes, target
        The task's name, family and group of near-duplicates, whether it counts in rankings, and
        the domain that it harmonises to; the last is empty in old records.
    measure
        The metric.
    scores
        By label.
    subjects
        Values by subject, averaged over each method's seeds.
    compared
        The same, averaged over the seeds that all methods have, if there are any: for tests,
        where test data may depend on the seed.
    reference_line
        Label of the control at the upper end of the scale, or None.
    """

    task: str
    family: str
    group: str
    votes: bool = True
    target: str = ""
    measure: Measure
    scores: Mapping[str, Score]
    subjects: SubjectValues = field(repr=False)
    compared: SubjectValues = field(repr=False)
    reference_line: str | None


def task_columns(
    runs: pd.DataFrame, measure: Measure, controls: Mapping[str, str]
) -> dict[str, TaskColumn]:
    """Return the column of every task of runs that share a board.

    Parameters
    ----------
    runs
        One run for each label, task, seed and fold.
    measure
        The metric.
    controls
        `"floor"`, `"ceiling"` or empty, by label.
    """
    newest = runs.drop_duplicates("task", keep="last").set_index("task")
    n_folds = fold_count(str(runs["split"].iloc[0]))
    silent = set(newest.index[newest["votes"] == NO_VOTE]) if "votes" in newest else set()
    return {
        task: replace(
            _column(
                task,
                str(newest.at[task, "family"]),
                str(newest.at[task, "group"]) or task,
                measure,
                votes=task not in silent,
                by_label=by_label,
                controls=controls,
                n_folds=n_folds,
            ),
            target=str(newest.at[task, "target"]),
        )
        for task, by_label in runs_by_task(runs, measure.name).items()
    }


def _column(
    task: str,
    family: str,
    group: str,
    measure: Measure,
    *,
    votes: bool,
    by_label: Mapping[str, Sequence[Run]],
    controls: Mapping[str, str],
    n_folds: int,
) -> TaskColumn:
    missing = {label: missing_folds_of(runs, n_folds) for label, runs in by_label.items()}
    by_label = without_empty_folds(by_label)
    partial = {label for label, runs in by_label.items() if any(run.missing for run in runs)}
    names, seeds, labels, values = _values(
        {
            label: runs
            for label, runs in by_label.items()
            if not missing[label] and label not in partial
        }
    )
    subjects = SubjectValues(names, labels, nan_mean(values))
    defined: npt.NDArray[np.bool_] = np.logical_not(np.isnan(values).all(axis=1))  # (seeds, k)
    common = defined.all(axis=1)
    compared = nan_mean(values[common]) if common.any() else subjects.values
    estimates = dict(zip(labels, measure.intervals(subjects.values), strict=True))
    by_seed = {
        label: {
            seed: float(value)
            for seed, value, has in zip(seeds, _means(values[..., k]), defined[:, k], strict=True)
            if has
        }
        for k, label in enumerate(labels)
    }
    scores = {
        label: _partial_score(runs, missing[label], measure)
        if label in partial
        else _score(
            sorted(runs, key=lambda run: (run.seed, run.fold)),
            missing[label],
            estimates.get(label),
            by_seed.get(label),
            subjects,
        )
        for label, runs in by_label.items()
    }
    reference = _reference_line(scores, controls)
    return TaskColumn(
        task=task,
        family=family,
        group=group,
        votes=votes,
        measure=measure,
        scores=_with_references(scores, by_label, reference, subjects, measure),
        subjects=subjects,
        compared=SubjectValues(names, labels, measure.finite(compared)),
        reference_line=reference,
    )


def _values(
    by_label: Mapping[str, Sequence[Run]],
) -> tuple[tuple[str, ...], list[int], tuple[str, ...], Array]:
    """Return names, seeds, labels, and values as `(seeds, subjects, labels)`.

    Without methods that have a failed run or no values by subject: they cannot be tested. The
    folds of a seed have different subjects.
    """
    labels = tuple(
        label
        for label, runs in by_label.items()
        if all(run.status == "done" and run.names for run in runs)
    )
    runs = [run for label in labels for run in by_label[label]]
    names = tuple(sorted({name for run_names in {run.names for run in runs} for name in run_names}))
    seeds = sorted({run.seed for run in runs})
    index = {name: row for row, name in enumerate(names)}
    values = np.full((len(seeds), len(names), len(labels)), math.nan)
    for k, label in enumerate(labels):
        for run in by_label[label]:
            rows = slice(None) if run.names == names else [index[name] for name in run.names]
            values[seeds.index(run.seed), rows, k] = run.values
    return names, seeds, labels, values


def _means(values: Array) -> Array:
    """Return the mean over subjects for each seed."""
    return nan_mean(values.T)


def _score(
    runs: Sequence[Run],
    missing_folds: str,
    estimate: Estimate | None,
    by_seed: Mapping[int, float] | None,
    subjects: SubjectValues,
) -> Score:
    worst = max(runs, key=lambda run: _SEVERITY.index(run.status))
    status, reason = worst.status, worst.reason
    if status == "done" and missing_folds:
        status, reason = "incomplete", missing_folds
    if status != "done":
        estimate, by_seed = _NO_ESTIMATE, {}
    elif estimate is None:
        # NaN if any run has no number: a mean over the others would flatter.
        value, low, high = np.mean([run.estimate for run in runs], axis=0).tolist()
        estimate = Estimate(value, low, high, 0)
        by_run: dict[int, list[float]] = {}
        for run in runs:
            by_run.setdefault(run.seed, []).append(run.estimate[0])
        by_seed = {seed: float(np.mean(numbers)) for seed, numbers in by_run.items()}
    return Score(
        value=estimate.mean,
        low=estimate.low,
        high=estimate.high,
        n=estimate.n,
        by_seed=by_seed or {},
        status=status,
        reason=reason,
        flags={scan: flag for run in runs for scan, flag in run.flags.items()},
        environments=tuple(run.environment for run in runs),
        codes=frozenset(run.code for run in runs if run.code),
        runs={(run.seed, run.fold): run.run_id for run in runs},
        label=runs[0].label,
        subject_values=subjects,
    )


def _partial_score(runs: Sequence[Run], missing_folds: str, measure: Measure) -> Score:
    """Return the score of a method without images of some scans, by itself: it is not compared.

    A fold without any image is skipped, and leaves the scores of the other folds.
    """
    scored = [run for run in runs if run.status != "skipped"] or runs
    names, seeds, labels, values = _values({runs[0].label: scored})
    subjects = SubjectValues(names, labels, nan_mean(values))
    estimate, by_seed = None, None
    if labels:
        (estimate,) = measure.intervals(subjects.values)
        means = _means(values[..., 0])
        by_seed = {seed: float(mean) for seed, mean in zip(seeds, means, strict=True)}
    ordered = sorted(scored, key=lambda run: (run.seed, run.fold))
    score = _score(ordered, missing_folds, estimate, by_seed, subjects)
    if score.status != "done":
        return score
    missing = {name: reason for run in runs for name, reason in run.missing.items()}
    return replace(score, status="partial", reason=missing_images(missing))


def _reference_line(scores: Mapping[str, Score], controls: Mapping[str, str]) -> str | None:
    """Return the label of the control at 1 on a task's scale; a finite number goes first."""
    ceilings = [
        label for label, score in scores.items() if controls[label] == "ceiling" and score.has_value
    ]
    return min(ceilings, key=lambda label: (math.isinf(scores[label].value), label), default=None)


def _with_references(
    scores: Mapping[str, Score],
    by_label: Mapping[str, Sequence[Run]],
    reference: str | None,
    subjects: SubjectValues,
    measure: Measure,
) -> dict[str, Score]:
    """Add the differences to the reference line, where the metric is compared with a rescan."""
    if measure.ranks or reference is None:
        return dict(scores)
    differences: dict[str, Estimate] = {}
    if reference in subjects.labels:
        values = subjects.values
        with np.errstate(invalid="ignore"):
            gaps = values - values[:, [subjects.labels.index(reference)]]
        estimates = mean_intervals(measure.finite(gaps))
        differences = dict(zip(subjects.labels, estimates, strict=True))
    else:
        differences = {
            label: _difference_of_cohorts(
                score, scores[reference], by_label[label], by_label[reference]
            )
            for label, score in scores.items()
            if score.counts
        }
    return {
        label: score
        if label == reference or label not in differences
        else replace(score, from_reference=differences[label])
        for label, score in scores.items()
    }


def _difference_of_cohorts(
    score: Score, reference: Score, runs: Sequence[Run], references: Sequence[Run]
) -> Estimate:
    """Return the difference in a metric of the whole cohort; its interval is of paired draws.

    Without an interval if either side has several seeds or folds.
    """
    low = high = math.nan
    draws = [run.draws for run in (*runs, *references)]
    if len(draws) == 2 and all(draws):
        low, high, _ = paired_difference(*map(decode_draws, draws))
    return Estimate(score.value - reference.value, low, high, 0)
