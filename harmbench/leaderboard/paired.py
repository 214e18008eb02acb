"""Two runs side by side: the difference on the subjects that both have."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from harmbench.errors import UserError
from harmbench.leaderboard.table import GROUP, Measure
from harmbench.statistics.estimate import Array, Estimate, bootstrap
from harmbench.statistics.hypothesis import holm, mean_over, paired, wilcoxon
from harmbench.statistics.subjects import decode

_FEWEST = 4  # characters of a run's id


@dataclass(frozen=True)
class Side:
    """One of two things compared: the run of one cell, or a method's runs of all seeds.

    Attributes
    ----------
    title
        What it is called.
    runs
        Its runs, a row each.
    """

    title: str
    runs: pd.DataFrame = field(repr=False)


@dataclass(frozen=True)
class Difference:
    """What two sides differ by in one metric.

    Attributes
    ----------
    measure
        The metric.
    one, other
        Means over the subjects that both have.
    difference
        One minus the other, subject by subject, with its 95 % interval.
    p
        Of Wilcoxon's signed-rank test, corrected over all metrics by Holm's method.
    only_one, only_other
        Subjects that one side alone has a value of.
    """

    measure: Measure
    one: float
    other: float
    difference: Estimate
    p: float
    only_one: tuple[str, ...]
    only_other: tuple[str, ...]


def side(runs: pd.DataFrame, text: str) -> Side:
    """Find what is meant by the beginning of a run's id, or by `METHOD@TASK`.

    The latter are the runs of all seeds on the newest of the boards that have any.

    Raises
    ------
    UserError
        If there is no such run, more than one, or one without scores.
    """
    if "@" in text:
        label, _, task = text.rpartition("@")
        for column, kind, name in (("label", "method", label), ("task", "task", task)):
            if name not in set(runs[column]):
                raise UserError.unknown(f"recorded {kind}", name, runs[column].unique())
        found = runs[(runs["label"] == label) & (runs["task"] == task)]
        if found.empty:
            raise UserError(f"'{label}' was not run on '{task}'")
        newest = found.sort_values("started").iloc[-1]
        found = found[(found[GROUP] == newest[GROUP]).all(axis=1)]
        found = found.sort_values("started").drop_duplicates("seed", keep="last")
        title = f"{label} on {task} of {newest['cohort']}"
    else:
        found = runs[runs["run_id"].str.startswith(text)] if len(text) >= _FEWEST else runs[:0]
        if found.empty:
            raise UserError(
                f"no run '{text}': give {_FEWEST} characters or more of a run's id, or METHOD@TASK"
            )
        if len(found) > 1:
            raise UserError(f"'{text}' is the beginning of {len(found)} runs: give more of the id")
        only = found.iloc[0]
        title = f"{only['label']} on {only['task']}, seed {only['seed']} [{only['run_id'][:8]}]"
    for row in found.itertuples():
        if row.status != "done":
            raise UserError(f"{title}: seed {row.seed} has no scores: {row.status}: {row.reason}")
    return Side(title, found)


def compare(one: Side, other: Side, measures: Iterable[Measure]) -> list[Difference]:
    """Compare two sides in every metric that both tell of subjects in.

    Seeds that both have are compared with each other; where they have none in common, and
    the test data do not depend on the seed, each side is averaged over its own.

    Raises
    ------
    UserError
        If they were not measured on the same test data.
    """
    seeds = _seeds(one, other)
    found = [_difference(one, other, measure, seeds) for measure in measures]
    known = [each for each in found if each is not None]
    adjusted = holm([each.p for each in known])
    return [replace(each, p=float(p)) for each, p in zip(known, adjusted, strict=True)]


def _difference(
    one: Side, other: Side, measure: Measure, seeds: Sequence[int] | None
) -> Difference | None:
    """Return the difference in one metric, not corrected; None unless both tell of subjects."""
    tables = [_subjects(each, measure.name, seeds) for each in (one, other)]
    if any(not table for table in tables):
        return None
    first, second = (set().union(*(subjects.keys() for subjects in table)) for table in tables)
    common = sorted(first & second)
    values = [
        np.array([[subjects.get(name, np.nan) for name in common] for subjects in table])
        for table in tables
    ]
    gaps = paired(*values)
    return Difference(
        measure,
        _mean(values[0], gaps),
        _mean(values[1], gaps),
        bootstrap(gaps),
        wilcoxon(gaps)[0],
        tuple(sorted(first - second)),
        tuple(sorted(second - first)),
    )


def _mean(values: Array, gaps: Array) -> float:
    """Return the mean over the subjects that have a difference."""
    known = mean_over(values)[~np.isnan(gaps)]
    return float(known.mean()) if len(known) else float("nan")


def _seeds(one: Side, other: Side) -> list[int] | None:
    """Return the seeds to compare; None if each side is to be averaged over its own."""
    data = [dict(zip(each.runs["seed"], each.runs["data"], strict=True)) for each in (one, other)]
    common = sorted(data[0].keys() & data[1].keys())
    if common and all(data[0][seed] == data[1][seed] for seed in common):
        return [int(seed) for seed in common]
    if not common and len({*data[0].values(), *data[1].values()}) == 1:
        return None
    reason = _unlike(one, other) or (
        "their test data are not those of the same seed"
        if not common
        else "the task or the cohort has changed between them"
    )
    raise UserError(f"{one.title} and {other.title} cannot be compared: {reason}")


def _unlike(one: Side, other: Side) -> str | None:
    """Name the first of the axes in which two sides differ."""
    for name in ("task", *GROUP):
        values = [str(each.runs[name].iloc[0]) for each in (one, other)]
        if values[0] != values[1]:
            what = {"cohort_key": "the cohort's content", "kind": "the kind of scans"}
            return f"{what.get(name, f'the {name}')} is {values[0]} here and {values[1]} there"
    return None


def _subjects(each: Side, metric: str, seeds: Sequence[int] | None) -> list[Mapping[str, float]]:
    """Return subjects' values for every seed, or the mean of all seeds; empty if one has none."""
    column = f"{metric}.people"
    found: dict[int, dict[str, float]] = {}
    for seed, names, values in zip(
        each.runs["seed"], each.runs["people"], each.runs[column], strict=True
    ):
        subjects, numbers = decode(names, values)
        if subjects:
            found[int(seed)] = dict(zip(subjects, numbers.tolist(), strict=True))
    if seeds is not None:
        return [found[seed] for seed in seeds] if all(seed in found for seed in seeds) else []
    mean = pd.DataFrame(found).mean(axis=1)
    return [dict(zip(mean.index, mean.tolist(), strict=True))] if len(mean) else []
