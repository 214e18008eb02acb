"""Which imported results share a board with those of the home, and why others do not."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from harmbench.store.columns import BOARD_AXES

_CELL = ("cell", "cohort", "cohort_key")
# Why results are on another board, by the axis in which they differ.
_REASONS = {
    "cohort_key": "other scans, or scans prepared in another way",
    "kind": "another kind of scans",
}


@dataclass(frozen=True, kw_only=True)
class BoardMatch:
    """The imported results of one board, against the results of the home.

    Attributes
    ----------
    title
        Cohort, preset and split.
    shared, added
        Tasks whose question the home has answered, and tasks that are new on the same board.
    apart
        Why each other task is on a board of its own.
    unpaired
        Shared tasks on which no subject of the home has the name of an imported one.
    """

    title: str
    shared: tuple[str, ...]
    added: tuple[str, ...]
    apart: Mapping[str, str]
    unpaired: tuple[str, ...] = ()

    @property
    def lines(self) -> list[str]:
        """The match in words."""
        parts = []
        if self.shared:
            parts.append(f"on one board with the results of this home: {', '.join(self.shared)}")
        if self.added:
            parts.append(f"new on the board: {', '.join(self.added)}")
        reasons: dict[str, list[str]] = {}
        for task, reason in self.apart.items():
            reasons.setdefault(reason, []).append(task)
        for reason, tasks in reasons.items():
            parts.append(f"on a board of their own ({reason}): {', '.join(tasks)}")
        if self.unpaired:
            parts.append(
                "not compared by subject, since one side has pseudonyms and the other names: "
                f"{', '.join(self.unpaired)}; prepare the cohort here, or publish with pseudonyms"
            )
        return [f"{self.title}: {part}" for part in parts]


def board_matches(imported: pd.DataFrame, present: pd.DataFrame) -> list[BoardMatch]:
    """Compare the questions of imported results with those of a home, board by board.

    Parameters
    ----------
    imported, present
        Tables of runs.
    """
    matches = []
    for values, cells in imported.groupby(list(BOARD_AXES), sort=False):
        axes = dict(zip(BOARD_AXES, map(str, values), strict=True))
        title = f"{axes['cohort']}, {axes['preset']} preset, {axes['split']}"
        if present.empty:
            same = present
        else:
            equal = [present[name].astype(str) == value for name, value in axes.items()]
            same = present[np.logical_and.reduce(equal)]
        if present.empty:
            added = tuple(sorted({*map(str, cells["task"])}))
            matches.append(BoardMatch(title=title, shared=(), added=added, apart={}))
        elif same.empty:
            reason = _difference(axes, present)
            tasks = dict.fromkeys(map(str, cells["task"]))
            matches.append(
                BoardMatch(title=title, shared=(), added=(), apart=dict.fromkeys(tasks, reason))
            )
        else:
            matches.append(_match(title, cells, same))
    return matches


def _match(title: str, imported: pd.DataFrame, same: pd.DataFrame) -> BoardMatch:
    """Compare the tasks of imported results with those on the same board of the home."""
    shared, added, apart, unpaired = [], [], {}, []
    for name, cells in imported.groupby("task", sort=True):
        task = str(name)
        present = same[same["task"] == task]
        if present.empty:
            added.append(task)
        elif {*present["question"]} & {*cells["question"]}:
            shared.append(task)
            one, other = _subjects(cells), _subjects(present)
            if one and other and not one & other:
                unpaired.append(task)
        else:
            apart[task] = "another version of the task, or other test scans"
    return BoardMatch(
        title=title,
        shared=tuple(shared),
        added=tuple(added),
        apart=apart,
        unpaired=tuple(unpaired),
    )


def _subjects(runs: pd.DataFrame) -> set[str]:
    """Return the names of all subjects with values."""
    return {name for text in {*runs["subjects"]} if text for name in json.loads(text)}


def _difference(axes: Mapping[str, str], present: pd.DataFrame) -> str:
    """Return in which axes imported results differ from the most similar of the home."""
    boards = present[list(BOARD_AXES)].drop_duplicates().astype(str).to_dict("records")
    same_cohort = [board for board in boards if board["cohort"] == axes["cohort"]]
    if not same_cohort:
        return f"this home has no results on the cohort {axes['cohort']}"
    nearest = min(same_cohort, key=lambda board: len(_changed(axes, board)))
    return "; ".join(
        _REASONS.get(name, f"{name} {axes[name]}, here {nearest[name]}")
        for name in _changed(axes, nearest)
    )


def _changed(axes: Mapping[str, str], board: Mapping[Any, Any]) -> list[str]:
    return [name for name in BOARD_AXES if axes[name] != board[name]]


@dataclass(frozen=True, kw_only=True)
class Overlap:
    """Imported results of cells that the home has already.

    Attributes
    ----------
    new, equal
        Numbers of cells that are new, and that have equal numbers.
    different
        A description of each cell with another number.
    """

    new: int
    equal: int
    different: tuple[str, ...]


def overlap(imported: pd.DataFrame, present: pd.DataFrame, metrics: Sequence[str]) -> Overlap:
    """Compare the numbers of cells that both tables have."""
    if present.empty:
        return Overlap(new=len(imported), equal=0, different=())
    known = present.set_index(list(_CELL))
    known = known[~known.index.duplicated(keep="last")]
    new, different = 0, []
    for run in imported.to_dict("records"):
        key = tuple(run[name] for name in _CELL)
        if key not in known.index:
            new += 1
            continue
        fault = _first_difference(run, known.loc[key], metrics)
        if fault:
            different.append(f"{run['label']} on {run['task']}, seed {run['seed']}: {fault}")
    equal = len(imported) - new - len(different)
    return Overlap(new=new, equal=equal, different=tuple(different))


def _first_difference(run: Mapping[Any, Any], present: pd.Series, metrics: Sequence[str]) -> str:
    """Return the first metric with another number, in words; empty if there is none."""
    if run["status"] != present["status"]:
        return f"{run['status']}, here {present['status']}"
    for name in metrics:
        one, other = float(run.get(name, np.nan)), float(present.get(name, np.nan))
        if one != other and not (np.isnan(one) and np.isnan(other)):
            return f"{name} {one:.9g}, here {other:.9g}"
    return ""
