"""The leaderboard: methods by tasks for one metric, of cells that may be compared."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from harmbench.data.scan_kind import kind_of_scans
from harmbench.leaderboard.overall import overall
from harmbench.statistics.estimate import Array, Estimate, bootstrap_columns
from harmbench.statistics.hypothesis import mean_over
from harmbench.statistics.ranking import tiers
from harmbench.statistics.subjects import Subjects, decode

# What cells must have in common to share a board.
GROUP = ["cohort", "cohort_key", "kind", "preset", "normalization"]
_SEVERITY = ("done", "skipped", "diverged", "failed")


@dataclass(frozen=True)
class Measure:
    """A metric as its runs tell of it.

    Attributes
    ----------
    name
        Its name.
    higher_is_better
        Its direction.
    unit
        `"dB"`, or empty for a plain number or one that is not known.
    """

    name: str
    higher_is_better: bool
    unit: str = ""


@dataclass(frozen=True)
class Score:
    """One field of the table.

    Attributes
    ----------
    value
        Mean over subjects, each averaged over the seeds; NaN where there is none. Of a number
        that is no mean over subjects (such as an ICC): its mean over seeds.
    low, high
        Bounds of the 95 % bootstrap interval over subjects; of a number that is no mean over
        subjects, the mean over seeds of those that were recorded.
    n
        Number of subjects; 0 if the runs tell of none.
    by_seed
        Mean over subjects for each seed.
    status
        The worst status among the seeds: a failed seed never hides behind a good one.
    reason
        Why there is no number.
    tier
        From 1: those that cannot be told from the best share its tier. None for controls,
        and where no subject's values were recorded.
    p
        Of the signed-rank test against the best of the tier, corrected by Holm's method;
        NaN for the best itself.
    flags
        What the method itself warns of, by "subject/session"; of any seed.
    runs
        Ids of the runs, by seed.
    """

    value: float
    low: float
    high: float
    n: int
    by_seed: Mapping[int, float]
    status: str
    reason: str
    tier: int | None
    p: float
    flags: Mapping[str, str] = field(repr=False)
    runs: Mapping[int, str] = field(repr=False)
    _label: str = field(repr=False)
    _subjects: Subjects = field(repr=False)

    @cached_property
    def subjects(self) -> pd.Series:
        """Each subject's value, averaged over the seeds; empty if the runs tell of nobody."""
        return self._subjects.column(self._label)

    @property
    def known(self) -> bool:
        """Whether there is a number; infinity is one."""
        return not math.isnan(self.value)

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds, in order."""
        return tuple(sorted(self.runs))

    @property
    def spread(self) -> float:
        """Standard deviation among seeds of the mean over subjects; NaN with one seed."""
        values = list(self.by_seed.values())
        if len(values) < 2 or not all(map(math.isfinite, values)):
            return math.nan
        return float(np.std(values, ddof=1))


@dataclass(frozen=True)
class Row:
    """One method under one set of settings.

    Attributes
    ----------
    label, method
        With its changed settings, and without.
    control
        `"floor"`, `"ceiling"` or empty.
    scores
        By task; one that the method was not run on is not in it.
    rank
        Mean rank over the tasks, with its 95 % interval over subjects, of `n` tasks that it
        has a number for; a task that it lacks counts as the worst rank. None for controls.
    normalized
        Mean over tasks of where it stands between floor (0) and ceiling (1); a task that it
        lacks counts as 0. Of `n` tasks that have both; None where no task has, and for
        controls.
    """

    label: str
    method: str
    control: str
    scores: Mapping[str, Score]
    rank: Estimate | None
    normalized: Estimate | None

    @property
    def known(self) -> int:
        """Number of tasks with a number."""
        return sum(score.known for score in self.scores.values())


@dataclass(frozen=True)
class Board:
    """Methods by tasks for one metric, of cells that answer the same questions.

    Attributes
    ----------
    cohort, cohort_key, kind, preset, normalization
        What the cells have in common; numbers of different ones never share a board.
    edition
        0 for the newest test data of every task and seed, 1 for the one before, and so on:
        a task that was changed since has its old numbers on a board of their own.
    measure
        The metric.
    tasks
        Columns, by name.
    rows
        Methods from the best mean rank to the worst, between the controls: the ceiling
        comes first and the floor last.
    bounds
        What tasks say their scores are to be seen against, by title and task.
    """

    cohort: str
    cohort_key: str
    kind: str
    preset: str
    normalization: str
    edition: int
    measure: Measure
    tasks: tuple[str, ...]
    rows: tuple[Row, ...]
    bounds: Mapping[str, Mapping[str, Estimate]]

    @property
    def metric(self) -> str:
        """The metric's name."""
        return self.measure.name

    @property
    def higher_is_better(self) -> bool:
        """The metric's direction."""
        return self.measure.higher_is_better

    @property
    def methods(self) -> tuple[Row, ...]:
        """The rows that are no controls."""
        return tuple(row for row in self.rows if not row.control)

    @property
    def title(self) -> str:
        """What the board shows, in a line."""
        unit = f" in {self.measure.unit}" if self.measure.unit else ""
        direction = "higher is better" if self.higher_is_better else "lower is better"
        normalized = f", {self.normalization} normalisation" if self.normalization else ""
        older = f", OLDER test data ({self.edition})" if self.edition else ""
        return (
            f"{self.metric}{unit} ({direction}) on cohort {self.cohort} "
            f"[{kind_of_scans(self.kind)}], {self.preset} preset{normalized}, "
            f"{self.cohort_key[:8]}{older}"
        )


def measures(runs: pd.DataFrame, units: Mapping[str, str] | None = None) -> dict[str, Measure]:
    """Return the metrics that runs hold, by name.

    The runs say themselves whether higher is better, so that those of somebody else's
    plugin can be read.

    Parameters
    ----------
    runs
        As returned by `harmbench.tracking.reader.runs`.
    units
        Units of metrics that are known here.
    """
    suffix = ".people"
    lower = {name for names in runs["lower_is_better"] for name in names.split(",")}
    columns = map(str, runs.columns)
    names = [column.removesuffix(suffix) for column in columns if column.endswith(suffix)]
    known = units or {}
    return {name: Measure(name, name not in lower, known.get(name, "")) for name in names}


def boards(
    runs: pd.DataFrame, measures: Sequence[Measure], *, tasks: Sequence[str] | None = None
) -> Iterator[Board]:
    """Lay recorded runs out as boards, newest cohort first.

    Parameters
    ----------
    runs
        As returned by `harmbench.tracking.reader.runs`.
    measures
        Metrics to show.
    tasks
        Tasks to show; all if None.

    Yields
    ------
    Board
        One for every cohort, preset, normalisation, edition and metric of which there is
        any number.
    """
    if runs.empty:
        return
    if tasks is not None:
        runs = runs[runs["task"].isin(tasks)]
    runs = _with_edition(runs)
    # Code or settings may have changed since: of the same question the newest answer counts.
    runs = runs.sort_values("started", kind="stable").drop_duplicates(
        [*GROUP, "edition", "label", "task", "seed"], keep="last"
    )
    groups = [cells for _, cells in runs.groupby([*GROUP, "edition"], sort=False)]
    for cells in sorted(groups, key=lambda cells: -int(cells["started"].max())):
        for measure in measures:
            if measure.name in cells and cells[measure.name].notna().any():
                yield _board(cells, measure)


def _with_edition(runs: pd.DataFrame) -> pd.DataFrame:
    """Add to each run how many newer test data there are of its task.

    Test data that differ are of one edition where no seed has both, as those of a task that
    draws them by the seed. Where nothing was scored they are not known: that counts for the
    newest.
    """
    editions: dict[tuple[Any, ...], int] = {}
    taken: dict[tuple[Any, ...], list[set[int]]] = {}
    scored = runs[runs["data"] != ""].sort_values("started", ascending=False, kind="stable")
    for (*task, data), cells in scored.groupby([*GROUP, "task", "data"], sort=False):
        seeds, seen = set(cells["seed"]), taken.setdefault(tuple(task), [])
        edition = next((k for k, others in enumerate(seen) if not seeds & others), len(seen))
        if edition == len(seen):
            seen.append(set())
        seen[edition] |= seeds
        editions[*task, data] = edition
    asked = zip(*(runs[name] for name in [*GROUP, "task", "data"]), strict=True)
    return runs.assign(edition=[editions.get(key, 0) for key in asked])


def _board(runs: pd.DataFrame, measure: Measure) -> Board:
    group = runs.iloc[-1]
    tasks = tuple(sorted(runs.loc[runs[measure.name].notna(), "task"].unique()))
    runs = runs[runs["task"].isin(tasks)]
    controls = dict(zip(runs["label"], runs["control"], strict=True))
    methods = dict(zip(runs["label"], runs["method"], strict=True))
    columns = {
        task: _column(by_label, measure, controls)
        for task, by_label in _cells(runs, measure.name).items()
    }
    ends = {
        end: min((label for label, control in controls.items() if control == end), default=None)
        for end in ("floor", "ceiling")
    }
    found = overall(
        {task: subjects for task, (_, subjects) in columns.items()},
        {
            task: {label: score.value for label, score in scores.items()}
            for task, (scores, _) in columns.items()
        },
        [label for label, control in controls.items() if not control],
        ends["floor"],
        ends["ceiling"],
        higher_is_better=measure.higher_is_better,
        decibels=measure.unit == "dB",
    )
    rows = [
        Row(
            label,
            methods[label],
            control,
            {task: columns[task][0][label] for task in tasks if label in columns[task][0]},
            *found.get(label, (None, None)),
        )
        for label, control in controls.items()
    ]

    def place(row: Row) -> tuple[int, float, str]:
        first = {"ceiling": 0, "floor": 2}.get(row.control, 1)
        return first, row.rank.mean if row.rank is not None else 0.0, row.label

    return Board(
        str(group["cohort"]),
        str(group["cohort_key"]),
        str(group["kind"]),
        str(group["preset"]),
        str(group["normalization"]),
        int(group["edition"]),
        measure,
        tasks,
        tuple(sorted(rows, key=place)),
        _bounds(runs, measure.name),
    )


class _Cell(NamedTuple):
    """One recorded run, as far as one metric goes."""

    label: str
    seed: int
    status: str
    reason: str
    run_id: str
    flags: Mapping[str, str]
    estimate: Sequence[float]
    names: tuple[str, ...]
    values: Array


def _cells(runs: pd.DataFrame, metric: str) -> dict[str, dict[str, list[_Cell]]]:
    """Return cells by task and label."""
    found: dict[str, dict[str, list[_Cell]]] = {}
    columns = (
        "task", "label", "seed", "status", "reason", "run_id", "flags", "people",
        f"{metric}.people", metric, f"{metric}.low", f"{metric}.high",
    )  # fmt: skip
    for task, label, seed, status, reason, run_id, flags, subjects, values, *estimate in zip(
        *(runs[name].tolist() for name in columns), strict=True
    ):
        cell = _Cell(
            label, seed, status, reason, run_id, flags, estimate, *decode(subjects, values)
        )
        found.setdefault(task, {}).setdefault(label, []).append(cell)
    return found


def _column(
    by_label: Mapping[str, Sequence[_Cell]], measure: Measure, controls: Mapping[str, str]
) -> tuple[dict[str, Score], Subjects]:
    """Return one task's scores by label, and the subjects behind them."""
    # Of a method with a failed seed, or one that tells of nobody, nothing can be tested.
    tested = [
        label
        for label, cells in by_label.items()
        if all(cell.status == "done" and cell.names for cell in cells)
    ]
    cells = [cell for label in tested for cell in by_label[label]]
    names = tuple(sorted({subject for told in {cell.names for cell in cells} for subject in told}))
    seeds = sorted({cell.seed for cell in cells})
    place = {subject: row for row, subject in enumerate(names)}
    values = np.full((len(seeds), len(names), len(tested)), math.nan)
    for k, label in enumerate(tested):
        for cell in by_label[label]:
            rows = (
                slice(None) if cell.names == names else [place[subject] for subject in cell.names]
            )
            values[seeds.index(cell.seed), rows, k] = cell.values
    subjects = Subjects(names, tuple(tested), mean_over(values))
    fighting = [k for k, label in enumerate(tested) if not controls[label]]
    found = tiers(values[..., fighting], higher_is_better=measure.higher_is_better)
    placed = dict(zip([tested[k] for k in fighting], found, strict=True))
    estimates = dict(zip(tested, bootstrap_columns(subjects.values), strict=True))
    scores = {
        label: _score(
            sorted(cells, key=lambda cell: cell.seed),
            estimates.get(label),
            subjects,
            *placed.get(label, (None, math.nan)),
        )
        for label, cells in by_label.items()
    }
    return scores, subjects


def _score(
    cells: Sequence[_Cell],
    estimate: Estimate | None,
    subjects: Subjects,
    tier: int | None,
    p: float,
) -> Score:
    worst = max(cells, key=lambda cell: _SEVERITY.index(cell.status))
    if worst.status != "done":
        estimate, by_seed = Estimate(math.nan, math.nan, math.nan, 0), {}
    else:
        by_seed = {cell.seed: cell.estimate[0] for cell in cells}
        if estimate is None:
            # A mean over those seeds alone that have a number would flatter.
            estimate = Estimate(*_means([cell.estimate for cell in cells]), 0)
    return Score(
        estimate.mean,
        estimate.low,
        estimate.high,
        estimate.n,
        by_seed,
        worst.status,
        worst.reason,
        tier,
        p,
        {scan: flag for cell in cells for scan, flag in cell.flags.items()},
        {cell.seed: cell.run_id for cell in cells},
        cells[0].label,
        subjects,
    )


def _means(estimates: Sequence[Sequence[float]]) -> tuple[float, float, float]:
    """Return the means of numbers and of their bounds."""
    value, low, high = np.mean(estimates, axis=0).tolist()
    return value, low, high


def _bounds(runs: pd.DataFrame, metric: str) -> dict[str, dict[str, Estimate]]:
    """Return what tasks say their scores are to be seen against, of the newest run of each."""
    found: dict[str, dict[str, Estimate]] = {}
    told = runs[runs["bounds"].astype(bool)].drop_duplicates("task", keep="last")
    for task, bounds in zip(told["task"], told["bounds"], strict=True):
        for title, numbers in bounds.items():
            if metric in numbers:
                mean, low, high = (float(numbers[metric][name]) for name in ("mean", "low", "high"))
                estimate = Estimate(mean, low, high, int(numbers[metric]["n"]))
                found.setdefault(title, {})[str(task)] = estimate
    return found


def tidy(board: Board) -> pd.DataFrame:
    """Lay a board out with one row for every method and task, for export."""
    nothing = Estimate(math.nan, math.nan, math.nan, 0)
    rows = []
    for row in board.rows:
        rank, normalized = row.rank or nothing, row.normalized or nothing
        for task in board.tasks:
            score = row.scores.get(task)
            rows.append(
                {
                    "cohort": board.cohort,
                    "cohort_key": board.cohort_key,
                    "kind": board.kind,
                    "preset": board.preset,
                    "normalization": board.normalization,
                    "edition": board.edition,
                    "metric": board.metric,
                    "unit": board.measure.unit,
                    "higher_is_better": board.higher_is_better,
                    "method": row.label,
                    "control": row.control,
                    "task": task,
                    "status": "not run" if score is None else score.status,
                    "reason": "" if score is None else score.reason,
                    "value": math.nan if score is None else score.value,
                    "low": math.nan if score is None else score.low,
                    "high": math.nan if score is None else score.high,
                    "people": 0 if score is None else score.n,
                    "seeds": 0 if score is None else len(score.seeds),
                    "seed_sd": math.nan if score is None else score.spread,
                    "tier": None if score is None else score.tier,
                    "p": math.nan if score is None else score.p,
                    "flagged_scans": 0 if score is None else len(score.flags),
                    "mean_rank": rank.mean,
                    "mean_rank_low": rank.low,
                    "mean_rank_high": rank.high,
                    "normalized": normalized.mean,
                    "normalized_low": normalized.low,
                    "normalized_high": normalized.high,
                    "normalized_tasks": normalized.n,
                    "tasks_known": row.known,
                    "tasks": len(board.tasks),
                }
            )
    return pd.DataFrame(rows)
