"""Checks of tasks: scores, and the computation of a complete cell."""

from __future__ import annotations

import math

import pandas as pd
import torch

from harmbench.contracts.cell import Status
from harmbench.contracts.purpose import Purpose
from harmbench.data.scans import Scans
from harmbench.errors import one_line
from harmbench.statistics.estimate import by_subject
from harmbench.testing.checks import CheckFailure, CheckList, NotApplicable
from harmbench.testing.task_candidate import TaskCandidate

SCORE_CHECKS: CheckList[TaskCandidate] = CheckList()

COLUMNS = ("subject", "scan", "slice", "metric", "value")


@SCORE_CHECKS.add("score")
def score(candidate: TaskCandidate) -> None:
    """It scores scans without an error."""
    candidate.data  # noqa: B018 - skips the check if there is no data
    if candidate.score_fault is not None:
        raise CheckFailure(
            "a table of scores",
            one_line(candidate.score_fault),
            "see Task.score and Scorer for arguments and return values",
        ) from candidate.score_fault


def _is_table(scores: object) -> bool:
    return isinstance(scores, pd.DataFrame) and set(scores.columns) == set(COLUMNS)


@SCORE_CHECKS.add("table")
def table(candidate: TaskCandidate) -> None:
    """Scores are a table of subject, scan, slice, metric and value, for all test subjects."""
    scores = candidate.table
    if not _is_table(scores):
        columns = ", ".join(map(str, getattr(scores, "columns", [type(scores).__name__])))
        raise CheckFailure(
            f"the columns {', '.join(COLUMNS)}", columns, "return a table like Metric.table"
        )
    missing = sorted(set(candidate.data.test.subjects) - set(scores["subject"]))
    if missing:
        raise CheckFailure(
            "a score of each test subject",
            f"no score of {', '.join(missing)}",
            "take subject and scan from harmonized.subjects and harmonized.sessions",
        )
    slices = set(scores["slice"].unique())
    allowed = {-1, *range(candidate.cohort.grid.shape[0])}
    if not slices <= allowed:
        raise CheckFailure(
            f"slices from 0 to {max(allowed)}, or -1 for a whole scan",
            f"{sorted(slices - allowed)}",
            "count slices from 0",
        )


def _tabular(candidate: TaskCandidate) -> pd.DataFrame:
    scores = candidate.table
    if not _is_table(scores):
        raise NotApplicable("its scores are not such a table; see the check 'table'")
    return scores


def _well_formed(candidate: TaskCandidate) -> pd.DataFrame:
    scores = _tabular(candidate)
    if not pd.api.types.is_float_dtype(scores["value"]):
        raise NotApplicable("its values are not numbers; see the check 'values'")
    return scores


@SCORE_CHECKS.add("values")
def values(candidate: TaskCandidate) -> None:
    """Values are floats, and each metric is finite for at least one subject."""
    scores = _tabular(candidate)
    if not pd.api.types.is_float_dtype(scores["value"]):
        raise CheckFailure(
            "values of a float type, NaN where a metric is undefined",
            f"values of type {scores['value'].dtype}",
            "return float(x), or float('nan') if it cannot be measured",
        )
    for name, numbers in by_subject(scores).items():
        if not any(math.isfinite(value) for value in numbers):
            raise CheckFailure(
                f"a finite '{name}' for at least one subject",
                f"{numbers.tolist()}",
                "leave out a metric that does not apply, instead of NaN for all",
            )


@SCORE_CHECKS.add("measures")
def measures(candidate: TaskCandidate) -> None:
    """Each shown number is a registered metric or declared in `measures`."""
    _well_formed(candidate)
    names = set(candidate.estimates)
    unknown = sorted(names - candidate.directions.keys())
    if unknown:
        raise CheckFailure(
            "a direction (is higher better?) for each number",
            f"no direction for {', '.join(unknown)}",
            f"declare measures = {{'{unknown[0]}': True}}, or False if lower is better",
        )


@SCORE_CHECKS.add("headline")
def headline(candidate: TaskCandidate) -> None:
    """Its headline has a score of a cell, if any may rank methods, and no diagnostic metric."""
    chosen = tuple(candidate.task.headline)
    diagnostic = {m.name for m in candidate.metrics if m.purpose is Purpose.DIAGNOSTIC}
    diagnostic |= set(candidate.task.diagnostics)
    wrong = [name for name in chosen if name in diagnostic]
    if wrong:
        raise CheckFailure(
            "no headline metric of the purpose DIAGNOSTIC",
            f"headline = {chosen}",
            f"remove '{wrong[0]}' from headline: it is compared with a rescan, and cannot rank",
        )
    _well_formed(candidate)
    scored = set(candidate.estimates) - diagnostic
    if scored and not scored & set(chosen):
        raise CheckFailure(
            f"at least one of {', '.join(sorted(scored))} in the headline",
            f"headline = {chosen}",
            "set headline to the most important scores, most important first",
        )


@SCORE_CHECKS.add("input")
def untouched(candidate: TaskCandidate) -> None:
    """It does not change the scans that it scores."""
    candidate.table  # noqa: B018 - skips the check if there are no scores
    scorer = candidate.task.scorer(candidate.context)
    first = range(1)
    batch, copy = candidate.batch(first, truth=False), candidate.batch(first, truth=False)
    scorer.add(*batch)
    for name, scans, expected in zip(
        ("source", "harmonized", "references"), batch, copy, strict=True
    ):
        if scans is not None and expected is not None and _differ(scans, expected):
            raise CheckFailure(
                f"unchanged scans `{name}`",
                "they were changed",
                "use no in-place operations on the input; clone it first",
            )


def _differ(scans: Scans, expected: Scans) -> bool:
    for name in ("images", "masks", "labels"):
        first, second = getattr(scans, name), getattr(expected, name)
        if first is not None and not torch.equal(first, second):
            return True
    return False


@SCORE_CHECKS.add("batches")
def batches(candidate: TaskCandidate) -> None:
    """Scores do not depend on the size of batches."""
    single = _well_formed(candidate)
    together = candidate.scored(max(2, len(candidate.data.test)))
    keys = list(COLUMNS[:-1])
    both = single.merge(together, on=keys, how="outer", suffixes=("", "_together"))
    differ = (both["value"] - both["value_together"]).abs() > 1e-4 * (1 + both["value"].abs())
    lost = both["value"].isna() != both["value_together"].isna()
    if (differ | lost).any() or len(single) != len(together):
        row = both[differ | lost].head(1)
        raise CheckFailure(
            "the same scores for scans one by one and in one batch",
            "they differ: " + (row.to_dict("records")[0].__repr__() if len(row) else "other rows"),
            "score each scan of a batch on its own; keep sums over batches in the scorer",
        )


@SCORE_CHECKS.add("order")
def order(candidate: TaskCandidate) -> None:
    """The truth scores no worse than the unchanged scans."""
    if candidate.data.references is None:
        raise NotApplicable("its scans have no known truth")
    means = by_subject(_well_formed(candidate)).mean()
    truth = by_subject(candidate.scored(1, truth=True)).mean()
    for name in candidate.task.headline:
        if name not in means or name not in truth or name not in candidate.directions:
            continue
        higher = candidate.directions[name]
        worse, better = (means[name], truth[name]) if higher else (truth[name], means[name])
        if worse > better:
            raise CheckFailure(
                f"a '{name}' of the truth no worse than that of the unchanged scans",
                f"{truth[name]:.4g} for the truth, {means[name]:.4g} for the unchanged scans",
                f"check that {'higher' if higher else 'lower'} is better, as `measures` says, and "
                "that the right scans are compared",
            )
        return
    raise NotApplicable("no score of its headline has values per subject")


@SCORE_CHECKS.add("cell")
def cell(candidate: TaskCandidate) -> None:
    """A complete cell runs: instruments, bounds, scores, estimates and figure."""
    _well_formed(candidate)
    result = candidate.runner.compute(candidate.planned(), candidate.metrics)
    if result.status is not Status.DONE:
        raise CheckFailure(
            "a cell with status done",
            f"{result.status.value}: {result.reason}",
            "see Scorer.estimates, Scorer.annotated and Task.bounds for their return values",
        )
