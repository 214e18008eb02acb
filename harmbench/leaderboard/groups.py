"""Boards that belong together: one cohort, preset, normalisation and test data, every metric."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import pandas as pd

from harmbench.data.scan_kind import kind_of_scans
from harmbench.leaderboard.table import GROUP, Board, boards, measures

# How a cell without a number may have ended.
BAD = ("failed", "diverged", "skipped")
# Links that every page has; all others are on the group's own.
LINKED_TASKS = 40


@dataclass(frozen=True)
class TaskPage:
    """A task of a group, and the file of its page."""

    name: str
    file: str


@dataclass(frozen=True, eq=False)
class Group:
    """Boards that differ in the metric alone, and the runs that are on them.

    Attributes
    ----------
    boards
        One a metric.
    runs
        The table of runs, of those on the boards.
    slug
        Folder of its pages.
    """

    boards: tuple[Board, ...]
    runs: pd.DataFrame = field(repr=False)
    slug: str

    @property
    def first(self) -> Board:
        """Any board: what it says of the cohort holds for all."""
        return self.boards[0]

    @property
    def cohort(self) -> str:
        """The cohort's name."""
        return self.first.cohort

    @property
    def kind(self) -> str:
        """`"phantom"` or `"real"`."""
        return self.first.kind

    @property
    def words(self) -> str:
        """What the scans are, in words."""
        return kind_of_scans(self.kind)

    @property
    def title(self) -> str:
        """Cohort and preset."""
        return f"{self.cohort}, {self.first.preset} preset"

    @property
    def about(self) -> str:
        """What tells the group from others of its title."""
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
        """All tasks that any board has."""
        names = dict.fromkeys(task for board in self.boards for task in board.tasks)
        slugs = Slugs()
        return tuple(TaskPage(name, f"task-{slugs(name)}.html") for name in names)

    @property
    def shown_tasks(self) -> tuple[TaskPage, ...]:
        """Tasks that are linked to from everywhere."""
        return self.tasks[:LINKED_TASKS]

    @cached_property
    def files(self) -> dict[str, str]:
        """File of each task's page, by its name."""
        return {task.name: task.file for task in self.tasks}

    @cached_property
    def labels(self) -> dict[str, int]:
        """A number for each method, which its anchors are named by."""
        shown = (row.label for board in self.boards for row in board.rows)
        labels = dict.fromkeys([*shown, *map(str, self.runs["label"])])
        return {label: place for place, label in enumerate(labels)}

    @property
    def n_bad(self) -> int:
        """Number of cells without a number."""
        return int(self.runs["status"].isin(BAD).sum())


class Slugs:
    """Makes names into names of files, no two alike, even where case does not count."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def __call__(self, name: str) -> str:
        """Return a name of small letters, digits, dots and dashes."""
        slug = re.sub(r"[^a-z0-9.]+", "-", name.lower()).strip("-.")[:80] or "unnamed"
        found, n = slug, 1
        while found in self._taken:
            n += 1
            found = f"{slug}-{n}"
        self._taken.add(found)
        return found


def grouped(
    runs: pd.DataFrame, headlines: Sequence[str], units: Mapping[str, str]
) -> Iterator[Group]:
    """Put boards of one cohort, preset, normalisation and edition of the test data together.

    Parameters
    ----------
    runs
        As returned by `harmbench.tracking.reader.runs`.
    headlines
        Metrics that come first.
    units
        Units of metrics.

    Yields
    ------
    Group
        The newest first.
    """
    if runs.empty:
        return
    known = measures(runs, units)
    order = [name for name in headlines if name in known]
    order += [name for name in known if name not in order]
    found: dict[tuple[Any, ...], list[Board]] = {}
    for board in boards(runs, [known[name] for name in order]):
        found.setdefault((*_question(board), board.edition), []).append(board)
    older = {run for key, same in found.items() if key[-1] for run in _on(same)}
    slugs = Slugs()
    by_id = runs.set_index("run_id", drop=False)
    for key, same in found.items():
        if key[-1]:
            its = by_id.loc[list(_on(same))]
        else:
            # With what failed on tasks where nobody has a number, which is on no board.
            asked = (by_id[list(GROUP)] == list(key[:-1])).all(axis=1)
            its = by_id[asked & ~by_id["run_id"].isin(older)]
        first = same[0]
        edition = f"-edition-{first.edition}" if first.edition else ""
        name = f"{first.cohort}-{first.preset}-{first.normalization}-{first.cohort_key[:8]}"
        ordered = sorted(same, key=lambda board: order.index(board.metric))
        yield Group(tuple(ordered), its, slugs(name + edition))


def _question(board: Board) -> tuple[str, ...]:
    return tuple(str(getattr(board, name)) for name in GROUP)


def _on(same: Sequence[Board]) -> dict[str, None]:
    """Return the runs that boards show."""
    return dict.fromkeys(
        run
        for board in same
        for row in board.rows
        for score in row.scores.values()
        for run in score.runs.values()
    )
