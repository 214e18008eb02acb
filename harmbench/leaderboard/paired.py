"""Paired comparison of two runs, on their common subjects."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from harmbench.errors import UserError
from harmbench.leaderboard.formatting import count, number
from harmbench.leaderboard.measure import Measure
from harmbench.statistics.estimate import Array, Estimate, mean_interval
from harmbench.statistics.hypothesis import holm, nan_mean, paired_differences
from harmbench.statistics.influence import influence
from harmbench.statistics.max_t import FEWEST_SUBJECTS, LEVEL, sign_flip
from harmbench.statistics.resampling import paired_difference
from harmbench.statistics.subjects import decode, decode_draws
from harmbench.store.columns import BOARD_AXES

_FEWEST = 4  # characters of a run's id
_MOST_INFLUENTIAL = 3  # subjects that are named


@dataclass(frozen=True)
class Side:
    """One side of a comparison: the run of one cell, or a method's runs of all seeds.

    Attributes
    ----------
    title
        Method, task and cohort or run.
    runs
        The runs, a row each.
    """

    title: str
    runs: pd.DataFrame = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class Difference:
    """The difference between two sides in one metric.

    Attributes
    ----------
    measure
        The metric.
    one, other
        Means over the common subjects.
    difference
        One minus the other, subject by subject, with its 95 % interval.
    p
        P-value of the sign-flip permutation test; Holm-adjusted over the headline metrics if the
        metric is one of them, else unadjusted.
    headline
        Whether the metric is a headline metric of the task.
    influence
        Of the subjects that change the mean difference most when they are left out: the change.
    only_one, only_other
        Subjects with a value on one side only.
    """

    measure: Measure
    one: float
    other: float
    difference: Estimate
    p: float
    headline: bool
    influence: Mapping[str, float]
    only_one: tuple[str, ...]
    only_other: tuple[str, ...]

    @property
    def significant(self) -> bool:
        """Whether the adjusted p-value of a headline metric is at most 5 %."""
        return self.headline and self.p <= LEVEL

    @property
    def favours_one(self) -> bool:
        """Whether the mean difference is in favour of the first side."""
        return (self.difference.mean > 0) == self.measure.higher_is_better


def side(runs: pd.DataFrame, text: str) -> Side:
    """Select runs by the beginning of a run's id, or by `METHOD@TASK`.

    The latter selects the runs of all seeds on the newest board that has any.

    Raises
    ------
    UserError
        If there is no such run, more than one, or one without scores.
    """
    if "@" in text:
        label, _, task = text.partition("@")  # a task may end with `@TARGET`
        for column, noun, name in (("label", "method", label), ("task", "task", task)):
            if name not in set(runs[column]):
                raise UserError.unknown(f"recorded {noun}", name, runs[column].unique())
        selected = runs[(runs["label"] == label) & (runs["task"] == task)]
        if selected.empty:
            raise UserError(f"'{label}' was not run on '{task}'")
        newest = selected.sort_values("started").iloc[-1]
        axes = list(BOARD_AXES)
        selected = selected[(selected[axes] == newest[axes]).all(axis=1)]
        selected = selected.sort_values("started").drop_duplicates(["seed", "fold"], keep="last")
        title = f"{label} on {task} of {newest['cohort']}"
    else:
        selected = runs[runs["run_id"].str.startswith(text)] if len(text) >= _FEWEST else runs[:0]
        if selected.empty:
            raise UserError(
                f"no run '{text}': give at least {_FEWEST} characters of a run's id, or METHOD@TASK"
            )
        if len(selected) > 1:
            raise UserError(f"'{text}' begins {len(selected)} run ids: give more characters")
        only = selected.iloc[0]
        fold = f", fold {only['fold']}" if only["fold"] else ""
        title = (
            f"{only['label']} on {only['task']}, seed {only['seed']}{fold} [{only['run_id'][:8]}]"
        )
    for row in selected.itertuples():
        if row.status != "done":
            raise UserError(f"{title}: seed {row.seed} has no scores: {row.status}: {row.reason}")
    return Side(title, selected)


def compare(
    one: Side, other: Side, measures: Mapping[str, Measure], names: Sequence[str] = ()
) -> list[Difference]:
    """Compare two sides in metrics with values by subject on both sides.

    Common seeds are compared with each other; without common seeds, and if the test data do
    not depend on the seed, each side is averaged over its own seeds. P-values are adjusted over
    the headline metrics of the task, whichever metrics are chosen.

    Parameters
    ----------
    one, other
        The two sides.
    measures
        All metrics, by name.
    names
        Metrics to return; all if empty.

    Raises
    ------
    UserError
        If they were not measured on the same test data, or share no metric of the same version
        with values by subject.
    """
    axes = _axes(one, other)
    headlines = str(one.runs["headline"].iloc[-1]).split(",")
    ordered = [name for name in headlines if name in measures]
    ordered += [name for name in measures if name not in ordered]
    differences = [
        difference
        for name in ordered
        if (difference := _difference(one, other, measures[name], axes, headlines)) is not None
    ]
    adjusted = holm([entry.p if entry.headline else math.nan for entry in differences])
    shown = [
        replace(entry, p=float(p)) if entry.headline else entry
        for entry, p in zip(differences, adjusted, strict=True)
        if not names or entry.measure.name in names
    ]
    if not shown:
        raise UserError("the two runs share no metric of the same version with values by subject")
    return shown


def remarks(differences: Sequence[Difference]) -> list[str]:
    """Return the remarks on a comparison, one a line."""
    headlines = [entry.measure.name for entry in differences if entry.headline]
    others = [entry.measure.name for entry in differences if not entry.headline]
    lines = []
    most = max(entry.difference.n for entry in differences)
    if most < FEWEST_SUBJECTS:
        lines.append(
            f"NO DIFFERENCE CAN BE SIGNIFICANT with {count(most, 'test subject')}: the smallest "
            f"possible p is {2.0 ** (1 - most):.2g}; at least {FEWEST_SUBJECTS} are needed"
        )
    if headlines:
        lines.append(
            "p: sign-flip permutation test over subjects (a paired bootstrap for metrics of the "
            "whole cohort), Holm-adjusted over the headline metrics of the task (shown here: "
            f"{', '.join(headlines)})"
        )
    if others:
        lines.append(
            f"(p): not adjusted, for description only; nothing follows from it: {', '.join(others)}"
        )
    for entry in differences[:1]:
        if entry.influence:
            texts = (
                f"{subject} {number(change, signed=True)}"
                for subject, change in entry.influence.items()
            )
            lines.append(
                f"subjects that change the mean difference in {entry.measure.name} most when they "
                f"are left out: {', '.join(texts)}"
            )
    for name, only in (
        ("A", sorted({subject for entry in differences for subject in entry.only_one})),
        ("B", sorted({subject for entry in differences for subject in entry.only_other})),
    ):
        if only:
            lines.append(f"subjects of {name} only, left out: {', '.join(only)}")
    return lines


def tidy(differences: Sequence[Difference]) -> pd.DataFrame:
    """Return a table with one row for every metric."""
    return pd.DataFrame(
        [
            {
                "metric": entry.measure.name,
                "unit": entry.measure.unit,
                "higher_is_better": entry.measure.higher_is_better,
                "one": entry.one,
                "other": entry.other,
                "difference": entry.difference.mean,
                "low": entry.difference.low,
                "high": entry.difference.high,
                "p": entry.p,
                "adjusted": entry.headline,
                "influential": " ".join(entry.influence),
                "subjects": entry.difference.n,
                "only_one": " ".join(entry.only_one),
                "only_other": " ".join(entry.only_other),
            }
            for entry in differences
        ]
    )


def _difference(
    one: Side,
    other: Side,
    measure: Measure,
    axes: Sequence[tuple[int, int]] | None,
    headlines: Sequence[str],
) -> Difference | None:
    """Return the difference in one metric, p unadjusted.

    None without values by subject, or if the two sides have different versions of the metric.
    """
    versions = [
        by_name.get(measure.name, "")
        for runs in (one.runs, other.runs)
        for by_name in runs["metric_versions"]
    ]
    if len(set(versions)) > 1:
        return None
    headline = measure.name in headlines and measure.ranks
    tables = [_subjects(runs, measure.name, axes) for runs in (one.runs, other.runs)]
    if any(not table for table in tables):
        return _difference_of_cohorts(one, other, measure, headline=headline)
    first, second = (set().union(*(subjects.keys() for subjects in table)) for table in tables)
    common = sorted(first & second)
    values = [
        np.array([[subjects.get(name, np.nan) for name in common] for subjects in table])
        for table in tables
    ]
    differences = paired_differences(*values)
    finite = measure.finite(differences)
    return Difference(
        measure=measure,
        one=_mean(values[0], differences),
        other=_mean(values[1], differences),
        difference=mean_interval(differences),
        p=sign_flip(finite),
        headline=headline,
        influence=_most_influential(common, finite),
        only_one=tuple(sorted(first - second)),
        only_other=tuple(sorted(second - first)),
    )


def _difference_of_cohorts(
    one: Side, other: Side, measure: Measure, *, headline: bool
) -> Difference | None:
    """Return the difference in a metric of the whole cohort, by a paired bootstrap over subjects.

    None without draws of one common run, of the same number of subjects. The draws of
    several seeds or folds are not combined.
    """
    if not len(one.runs) == len(other.runs) == 1:
        return None
    runs = (one.runs.iloc[0], other.runs.iloc[0])
    texts = [run["draws"].get(measure.name, "") for run in runs]
    if not all(texts) or runs[0]["subjects"] != runs[1]["subjects"]:
        return None
    means = [float(run[measure.name]) for run in runs]
    low, high, p = paired_difference(*map(decode_draws, texts))
    return Difference(
        measure=measure,
        one=means[0],
        other=means[1],
        difference=Estimate(means[0] - means[1], low, high, len(json.loads(runs[0]["subjects"]))),
        p=p,
        headline=headline,
        influence={},
        only_one=(),
        only_other=(),
    )


def _most_influential(names: Sequence[str], differences: Array) -> dict[str, float]:
    """Return the largest influences of subjects on the mean difference, by subject."""
    defined = ~np.isnan(differences)
    if defined.sum() < 3:
        return {}
    changes = influence(differences[defined])
    subjects = np.array(names, dtype=object)[defined]
    order = np.argsort(-np.abs(changes), kind="stable")[:_MOST_INFLUENTIAL]
    return {str(subjects[i]): float(changes[i]) for i in order if changes[i] != 0}


def _mean(values: Array, differences: Array) -> float:
    """Return the mean over the subjects that have a difference."""
    means = nan_mean(values)[~np.isnan(differences)]
    return float(means.mean()) if len(means) else float("nan")


def _axes(one: Side, other: Side) -> list[tuple[int, int]] | None:
    """Return the common seeds and folds; None if each side is averaged over its own seeds."""
    data = [
        dict(zip(zip(runs["seed"], runs["fold"], strict=True), runs["question"], strict=True))
        for runs in (one.runs, other.runs)
    ]
    common = sorted(data[0].keys() & data[1].keys())
    if common and all(data[0][axes] == data[1][axes] for axes in common):
        return [(int(seed), int(fold)) for seed, fold in common]
    if not common and len({*data[0].values(), *data[1].values()}) == 1:
        return None
    reason = _first_difference(one, other) or (
        "they have no seed in common, and their test data depend on it"
        if not common
        else "the task or the cohort has changed between them"
    )
    raise UserError(f"{one.title} and {other.title} cannot be compared: {reason}")


def _first_difference(one: Side, other: Side) -> str | None:
    """Return the first property in which two sides differ; None if they agree in all."""
    for name in ("task", *BOARD_AXES):
        values = [str(runs[name].iloc[0]) for runs in (one.runs, other.runs)]
        if values[0] != values[1]:
            nouns = {"cohort_key": "cohort's content", "kind": "kind of scans"}
            return f"the {nouns.get(name, name)} is {values[0]} in A and {values[1]} in B"
    return None


def _subjects(
    runs: pd.DataFrame, metric: str, axes: Sequence[tuple[int, int]] | None
) -> list[Mapping[str, float]]:
    """Return subjects' values for every seed, over its folds, or their mean over seeds.

    Empty if one of the seeds and folds has none.
    """
    column = f"{metric}.subjects"
    by_axes: dict[tuple[int, int], dict[str, float]] = {}
    rows = zip(runs["seed"], runs["fold"], runs["subjects"], runs[column], strict=True)
    for seed, fold, names, values in rows:
        subjects, numbers = decode(names, values)
        if subjects:
            by_axes[int(seed), int(fold)] = dict(zip(subjects, numbers.tolist(), strict=True))
    if axes is not None and not all(pair in by_axes for pair in axes):
        return []
    by_seed: dict[int, dict[str, float]] = {}
    for seed, fold in axes if axes is not None else by_axes:
        by_seed.setdefault(seed, {}).update(by_axes[seed, fold])
    if axes is not None:
        return list(by_seed.values())
    mean = pd.DataFrame(by_seed).mean(axis=1)
    return [dict(zip(mean.index, mean.tolist(), strict=True))] if len(mean) else []
