"""The boards of a table of runs, one for each metric."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from harmbench.leaderboard.board import Board, Row
from harmbench.leaderboard.bounds import bounds_of, pooled_bounds
from harmbench.leaderboard.families import compare_families
from harmbench.leaderboard.measure import Measure
from harmbench.leaderboard.overall import Overall, overall
from harmbench.leaderboard.pooled import over_targets
from harmbench.leaderboard.ranking_options import RankingOptions
from harmbench.leaderboard.scores import TaskColumn, task_columns
from harmbench.store.columns import BOARD_AXES
from harmbench.util.hashing import digest

# Of a submission, on the board.
_ORIGIN = ("author", "date", "reference", "digest")

_DEFAULT_OPTIONS = RankingOptions()


def boards(
    runs: pd.DataFrame,
    measures: Sequence[Measure],
    *,
    tasks: Sequence[str] | None = None,
    options: RankingOptions = _DEFAULT_OPTIONS,
) -> Iterator[Board]:
    """Make boards of recorded runs, newest cohort first.

    Parameters
    ----------
    runs
        The table of runs.
    measures
        Metrics to show.
    tasks
        Tasks to show; all if None.
    options
        Choices of the ranking.

    Yields
    ------
    Board
        One for every cohort, fit cohort, preset, split, normalisation, edition and metric with at
        least one number.
    """
    if runs.empty:
        return
    if tasks is not None:
        runs = runs[runs["task"].isin(tasks)]
    runs = runs.sort_values("started", kind="stable")
    boards_by_age = [
        (int(cells["started"].max()), _board(cells, measure, options))
        for measure in measures
        if measure.name in runs and runs[measure.name].notna().any()
        for cells in _cells_by_board(runs, measure)
    ]
    # Stable: boards of equal age keep the order of the measures.
    for _, board in sorted(boards_by_age, key=lambda item: -item[0]):
        yield board


def _cells_by_board(runs: pd.DataFrame, measure: Measure) -> Iterator[pd.DataFrame]:
    """Yield the newest run of every cell of each board with a number of the metric."""
    runs = _with_edition(runs, measure)
    # Code may have changed: of several runs of a cell the newest counts.
    runs = runs.drop_duplicates(
        [*BOARD_AXES, "edition", "label", "task", "seed", "fold"], keep="last"
    )
    for _, cells in runs.groupby([*BOARD_AXES, "edition"], sort=False):
        if cells[measure.name].notna().any():
            yield cells


def _with_edition(runs: pd.DataFrame, measure: Measure) -> pd.DataFrame:
    """Add column `edition`: the number of newer definitions of the task or the metric.

    Different test data share an edition where no seed and fold has both, as in a task that draws
    them by seed, and in cross-validation. Runs without a number of the metric have the newest
    edition of their question.
    """
    versions = [by_name.get(measure.name, "") for by_name in runs["metric_versions"]]
    runs = runs.assign(version=versions)
    measured = (runs["version"] != "") | runs[measure.name].notna()
    editions: dict[tuple[Any, ...], int] = {}
    newest: dict[tuple[Any, ...], int] = {}
    axes_by_edition: dict[tuple[Any, ...], list[set[tuple[int, int]]]] = {}
    names = [*BOARD_AXES, "task", "question"]
    for (*task, question, version), cells in (
        runs[measured].iloc[::-1].groupby([*names, "version"], sort=False)
    ):
        axes = set(zip(cells["seed"], cells["fold"], strict=True))
        present = axes_by_edition.setdefault(tuple(task), [])
        edition = next((k for k, others in enumerate(present) if not axes & others), len(present))
        if edition == len(present):
            present.append(set())
        present[edition] |= axes
        editions[*task, question, version] = edition
        newest.setdefault((*task, question), edition)
    keys = zip(*(runs[name] for name in [*names, "version"]), strict=True)
    return runs.assign(edition=[editions.get(key, newest.get(key[:-1], 0)) for key in keys])


def _board(runs: pd.DataFrame, measure: Measure, options: RankingOptions) -> Board:
    group = runs.iloc[-1]
    tasks = sorted(runs.loc[runs[measure.name].notna(), "task"].unique())
    runs = runs[runs["task"].isin(tasks)]
    controls = dict(zip(runs["label"], runs["control"], strict=True))
    methods = dict(zip(runs["label"], runs["method"], strict=True))
    by_task = task_columns(runs, measure, controls)
    columns = {task: by_task[task] for task in tasks}
    ranked = [
        label
        for label, method in methods.items()
        if measure.ranks and options.ranked(label=label, method=method, control=controls[label])
    ]
    floor = min((label for label, control in controls.items() if control == "floor"), default=None)
    standings = overall(tuple(columns.values()), ranked, floor, options.weights, normalize=True)
    bounds = bounds_of(runs, measure)
    pooled = over_targets(tuple(columns.values()), list(methods))
    rows = [
        _row(of_label, columns, ranked=label in ranked, standing=standings.get(str(label)))
        for label, of_label in runs.groupby("label", sort=False)
    ]
    return Board(
        cohort=str(group["cohort"]),
        cohort_key=str(group["cohort_key"]),
        fit_cohort=str(group["fit_cohort"]),
        fit_cohort_key=str(group["fit_cohort_key"]),
        kind=str(group["kind"]),
        preset=str(group["preset"]),
        split=str(group["split"]),
        normalization=str(group["normalization"]),
        edition=int(group["edition"]),
        measure=measure,
        columns=columns,
        rows=tuple(sorted(rows, key=position)),
        comparison=compare_families(tuple(columns.values()), ranked, floor, options.margin)
        if measure.ranks
        else None,
        bounds={
            title: {task: bound.estimate for task, bound in by_task.items()}
            for title, by_task in bounds.items()
        },
        pooled=pooled,
        pooled_bounds=pooled_bounds(tuple(columns.values()), bounds, list(pooled)),
    )


def _row(
    runs: pd.DataFrame,
    columns: Mapping[str, TaskColumn],
    *,
    ranked: bool,
    standing: Overall | None,
) -> Row:
    """Return the row of a label from its runs, of which the last is the newest."""
    newest = runs.iloc[-1]
    label = str(newest["label"])
    imported = runs[runs["bundle"] != ""].groupby("bundle")["task"]
    return Row(
        label=label,
        method=newest["method"],
        control=newest["control"],
        ranked=ranked,
        scores={
            task: column.scores[label] for task, column in columns.items() if label in column.scores
        },
        rank=None if standing is None else standing.rank,
        family_ranks={} if standing is None else standing.family_ranks,
        normalized=None if standing is None else standing.normalized,
        submission=_origin(runs["submission"].tolist()),
        bundles={str(bundle): tuple(sorted({*tasks})) for bundle, tasks in imported},
        receives=_received(newest.get("needs", ""), newest.get("covariates", "")),
    )


def _received(needs: str, covariates: str) -> str:
    """Return what a method receives beyond target and source, in words."""
    parts = ["fitted on all sites"] if needs == "sites" else []
    parts += [f"with the covariates {covariates}"] if covariates else []
    return ", ".join(parts)


def _origin(origins: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Return the origin of a submission; its digest is that of the images of all runs."""
    newest = origins[-1]
    if not newest:
        return {}
    digests = sorted({str(origin.get("digest", "")) for origin in origins})
    origin = {name: str(newest[name]) for name in _ORIGIN if name in newest}
    return origin | {"digest": digests[0] if len(digests) == 1 else digest(digests)}


def position(row: Row) -> tuple[int, float, str]:
    """Return the sort key of a row: reference lines, methods by mean rank, variants, floor."""
    section = {"ceiling": 0, "floor": 3}.get(row.control, 1 if row.ranked else 2)
    return section, row.rank.mean if row.rank is not None else 0.0, row.label
