"""Groups of boards: one cohort, preset, normalisation and test data, all metrics."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import pandas as pd

from harmbench.data.scan_kind import kind_of_scans
from harmbench.leaderboard.board import Board
from harmbench.leaderboard.measure import measures
from harmbench.leaderboard.ranking_options import RankingOptions
from harmbench.leaderboard.standings import Standings, standings
from harmbench.leaderboard.table import boards
from harmbench.store.columns import BOARD_AXES

# Statuses of cells without a number.
BAD = ("failed", "diverged", "skipped")
_DEFAULT_OPTIONS = RankingOptions()
# What registered metrics declare, by name: see `registered.declarations`.
Declarations = Mapping[str, Mapping[str, str]]
# Task links on every page; the group's page has all.
LINKED_TASKS = 40


@dataclass(frozen=True)
class TaskPage:
    """A task of a group, and the file name of its page."""

    name: str
    file: str


@dataclass(frozen=True, eq=False, kw_only=True)
class Group:
    """Boards that differ in the metric only, and their runs.

    Attributes
    ----------
    boards
        One per metric.
    standings
        The ranking over families; None without a number in a headline metric.
    runs
        The rows of the table of runs that are on the boards.
    slug
        Folder name of its pages.
    """

    boards: tuple[Board, ...]
    standings: Standings | None
    runs: pd.DataFrame = field(repr=False)
    slug: str

    def shown(self, names: Sequence[str]) -> tuple[Board, ...]:
        """Return the boards of the named metrics, in this order; without names the headlines'."""
        if not names and self.standings is not None:
            names = list(dict.fromkeys(column.measure.name for column in self.standings.columns))
        by_metric = {board.metric: board for board in self.boards}
        chosen = tuple(by_metric[name] for name in names if name in by_metric)
        return chosen or (() if names else self.boards[:1])

    @property
    def first(self) -> Board:
        """The first board; the properties of the cohort are the same for all."""
        return self.boards[0]

    @property
    def cohort(self) -> str:
        """The cohort's name."""
        return self.first.cohort

    @property
    def kind(self) -> str:
        """`"phantom"`, `"simulated"` or `"real"`."""
        return self.first.kind

    @property
    def words(self) -> str:
        """`"PHANTOM, not real scans"` or `"real scans"`."""
        return kind_of_scans(self.kind)

    @property
    def title(self) -> str:
        """Cohort, preset, and the split unless it is the test split."""
        first = self.first
        return f"{self.cohort}, {first.preset} preset{first.split_note}{first.fit_note}"

    @property
    def about(self) -> str:
        """Properties that distinguish the group from others with its title."""
        first = self.first
        texts = [
            f"normalised by {first.normalization}" if first.normalization else "",
            f"cohort {first.cohort_key[:8]}",
            f"{len(self.runs)} cells",
            f"{first.edition} edition{'s' * (first.edition != 1)} of the test data older"
            if first.edition
            else "",
        ]
        return ", ".join(text for text in texts if text)

    @cached_property
    def tasks(self) -> tuple[TaskPage, ...]:
        """The tasks of all boards."""
        names = dict.fromkeys(task for board in self.boards for task in board.tasks)
        slugs = Slugs()
        return tuple(TaskPage(name, f"task-{slugs(name)}.html") for name in names)

    @property
    def shown_tasks(self) -> tuple[TaskPage, ...]:
        """Tasks that every page links to."""
        return self.tasks[:LINKED_TASKS]

    @cached_property
    def files(self) -> dict[str, str]:
        """File name of each task's page, by the task's name."""
        return {task.name: task.file for task in self.tasks}

    @cached_property
    def labels(self) -> dict[str, int]:
        """A number for each method, used in the names of its anchors."""
        shown = (row.label for board in self.boards for row in board.rows)
        labels = dict.fromkeys([*shown, *map(str, self.runs["label"])])
        return {label: index for index, label in enumerate(labels)}

    @property
    def n_bad(self) -> int:
        """Number of cells without a number."""
        return int(self.runs["status"].isin(BAD).sum())


class Slugs:
    """Turns names into unique file names, also where case is ignored."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def __call__(self, name: str) -> str:
        """Return a name of lower-case letters, digits, dots and dashes."""
        slug = re.sub(r"[^a-z0-9.]+", "-", name.lower()).strip("-.")[:80] or "unnamed"
        unique, n = slug, 1
        while unique in self._taken:
            n += 1
            unique = f"{slug}-{n}"
        self._taken.add(unique)
        return unique


def headline_metrics(runs: pd.DataFrame, declarations: Declarations) -> list[str]:
    """Return the metrics that rank the tasks: of each task the first headline with a number."""
    by_name = measures(runs, declarations)
    chosen: dict[str, None] = {}
    for headline, cells in runs.groupby("headline", sort=False):
        names = [n for n in str(headline).split(",") if n in by_name and by_name[n].ranks]
        for _, of_task in cells.groupby("task", sort=False):
            recorded = (name for name in names if of_task[name].notna().any())
            chosen.update(dict.fromkeys(list(recorded)[:1]))
    return list(chosen)


def grouped(
    runs: pd.DataFrame,
    headlines: Sequence[str],
    declarations: Declarations,
    *,
    metrics: Sequence[str] | None = None,
    tasks: Sequence[str] | None = None,
    options: RankingOptions = _DEFAULT_OPTIONS,
) -> Iterator[Group]:
    """Group boards by cohort, preset, split, normalisation and edition of the test data.

    Parameters
    ----------
    runs
        The table of runs.
    headlines
        Metrics that come first.
    declarations
        What the registered metrics declare, such as their units.
    metrics
        Metrics to make boards of; all if None.
    tasks
        Tasks to show; all if None.
    options
        Choices of the ranking.

    Yields
    ------
    Group
        The newest first.
    """
    if runs.empty:
        return
    by_name = {
        name: measure
        for name, measure in measures(runs, declarations).items()
        if metrics is None or name in metrics
    }
    order = list(dict.fromkeys(name for name in (*headlines, *by_name) if name in by_name))
    groups: dict[tuple[Any, ...], list[Board]] = {}
    for board in boards(runs, [by_name[name] for name in order], tasks=tasks, options=options):
        groups.setdefault((*_question(board), board.edition), []).append(board)
    older = {run for key, same in groups.items() if key[-1] for run in _run_ids(same)}
    slugs = Slugs()
    by_id = runs.set_index("run_id", drop=False)
    for key, same in groups.items():
        if key[-1]:
            shown = by_id.loc[list(_run_ids(same))]
        else:
            # Including failures on tasks without any number, which are on no board.
            in_group = (by_id[list(BOARD_AXES)] == list(key[:-1])).all(axis=1)
            shown = by_id[in_group & ~by_id["run_id"].isin(older)]
        ordered = sorted(same, key=lambda board: order.index(board.metric))
        yield Group(
            boards=tuple(ordered),
            standings=standings(ordered, shown, options),
            runs=shown,
            slug=slugs(_name(same[0])),
        )


def _name(board: Board) -> str:
    """Return the name of the group's pages."""
    split = "" if board.split == "test" else f"-{board.split}"
    edition = f"-edition-{board.edition}" if board.edition else ""
    fits = f"-fitted-on-{board.fit_cohort}" if board.fit_cohort else ""
    return (
        f"{board.cohort}-{board.preset}{split}-{board.normalization}-{board.cohort_key[:8]}"
        f"{fits}{edition}"
    )


def _question(board: Board) -> tuple[str, ...]:
    return tuple(str(getattr(board, name)) for name in BOARD_AXES)


def _run_ids(same: Sequence[Board]) -> dict[str, None]:
    """Return the ids of the runs on the boards, in order."""
    return dict.fromkeys(
        run
        for board in same
        for row in board.rows
        for score in row.scores.values()
        for run in score.runs.values()
    )
