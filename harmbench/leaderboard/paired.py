"""Paired comparison of two runs, on their common subjects."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from harmbench.errors import UserError
from harmbench.leaderboard.board import Measure
from harmbench.leaderboard.formatting import count
from harmbench.leaderboard.table import GROUP
from harmbench.statistics.estimate import Array, Estimate, mean_interval
from harmbench.statistics.hypothesis import (
    LEVEL,
    holm,
    nan_mean,
    paired_differences,
    smallest_p,
    wilcoxon,
)
from harmbench.statistics.subjects import decode

_FEWEST = 4  # characters of a run's id


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
        P-value of Wilcoxon's signed-rank test, Holm-adjusted over all metrics.
    only_one, only_other
        Subjects with a value on one side only.
    """

    measure: Measure
    one: float
    other: float
    difference: Estimate
    p: float
    only_one: tuple[str, ...]
    only_other: tuple[str, ...]

    @property
    def significant(self) -> bool:
        """Whether the adjusted p-value is at most 5 %."""
        return self.p <= LEVEL

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
        label, _, task = text.rpartition("@")
        for column, noun, name in (("label", "method", label), ("task", "task", task)):
            if name not in set(runs[column]):
                raise UserError.unknown(f"recorded {noun}", name, runs[column].unique())
        selected = runs[(runs["label"] == label) & (runs["task"] == task)]
        if selected.empty:
            raise UserError(f"'{label}' was not run on '{task}'")
        newest = selected.sort_values("started").iloc[-1]
        selected = selected[(selected[GROUP] == newest[GROUP]).all(axis=1)]
        selected = selected.sort_values("started").drop_duplicates("seed", keep="last")
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
        title = f"{only['label']} on {only['task']}, seed {only['seed']} [{only['run_id'][:8]}]"
    for row in selected.itertuples():
        if row.status != "done":
            raise UserError(f"{title}: seed {row.seed} has no scores: {row.status}: {row.reason}")
    return Side(title, selected)


def compare(one: Side, other: Side, measures: Iterable[Measure]) -> list[Difference]:
    """Compare two sides in every metric with values by subject on both sides.

    Common seeds are compared with each other; without common seeds, and if the test data do
    not depend on the seed, each side is averaged over its own seeds.

    Raises
    ------
    UserError
        If they were not measured on the same test data, or share no metric of the same version
        with values by subject.
    """
    seeds = _seeds(one, other)
    differences = [
        difference
        for measure in measures
        if (difference := _difference(one, other, measure, seeds)) is not None
    ]
    if not differences:
        raise UserError("the two runs share no metric of the same version with values by subject")
    adjusted = holm([each.p for each in differences])
    return [replace(each, p=float(p)) for each, p in zip(differences, adjusted, strict=True)]


def remarks(differences: Sequence[Difference]) -> list[str]:
    """Return the remarks on a comparison, one a line."""
    n_metrics = len(differences)
    lines = [
        f"p: Wilcoxon's signed-rank test, Holm-adjusted over {count(n_metrics, 'metric')}",
    ]
    most = max(entry.difference.n for entry in differences)
    if (p := smallest_p(most, n_metrics)) > LEVEL:
        lines.append(
            f"with {count(most, 'test subject')} no difference in {count(n_metrics, 'metric')} can "
            f"reach significance (smallest p = {p:.2g})"
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
                "subjects": entry.difference.n,
                "only_one": " ".join(entry.only_one),
                "only_other": " ".join(entry.only_other),
            }
            for entry in differences
        ]
    )


def _difference(
    one: Side, other: Side, measure: Measure, seeds: Sequence[int] | None
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
    tables = [_subjects(runs, measure.name, seeds) for runs in (one.runs, other.runs)]
    if any(not table for table in tables):
        return None
    first, second = (set().union(*(subjects.keys() for subjects in table)) for table in tables)
    common = sorted(first & second)
    values = [
        np.array([[subjects.get(name, np.nan) for name in common] for subjects in table])
        for table in tables
    ]
    differences = paired_differences(*values)
    return Difference(
        measure=measure,
        one=_mean(values[0], differences),
        other=_mean(values[1], differences),
        difference=mean_interval(differences),
        p=wilcoxon(differences)[0],
        only_one=tuple(sorted(first - second)),
        only_other=tuple(sorted(second - first)),
    )


def _mean(values: Array, differences: Array) -> float:
    """Return the mean over the subjects that have a difference."""
    means = nan_mean(values)[~np.isnan(differences)]
    return float(means.mean()) if len(means) else float("nan")


def _seeds(one: Side, other: Side) -> list[int] | None:
    """Return the common seeds; None if each side is to be averaged over its own seeds."""
    data = [
        dict(zip(runs["seed"], runs["question"], strict=True)) for runs in (one.runs, other.runs)
    ]
    common = sorted(data[0].keys() & data[1].keys())
    if common and all(data[0][seed] == data[1][seed] for seed in common):
        return [int(seed) for seed in common]
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
    for name in ("task", *GROUP):
        values = [str(runs[name].iloc[0]) for runs in (one.runs, other.runs)]
        if values[0] != values[1]:
            nouns = {"cohort_key": "cohort's content", "kind": "kind of scans"}
            return f"the {nouns.get(name, name)} is {values[0]} in A and {values[1]} in B"
    return None


def _subjects(
    runs: pd.DataFrame, metric: str, seeds: Sequence[int] | None
) -> list[Mapping[str, float]]:
    """Return subjects' values for every seed, or their mean; empty if a seed has none."""
    column = f"{metric}.subjects"
    by_seed: dict[int, dict[str, float]] = {}
    for seed, names, values in zip(runs["seed"], runs["subjects"], runs[column], strict=True):
        subjects, numbers = decode(names, values)
        if subjects:
            by_seed[int(seed)] = dict(zip(subjects, numbers.tolist(), strict=True))
    if seeds is not None:
        return [by_seed[seed] for seed in seeds] if all(seed in by_seed for seed in seeds) else []
    mean = pd.DataFrame(by_seed).mean(axis=1)
    return [dict(zip(mean.index, mean.tolist(), strict=True))] if len(mean) else []
