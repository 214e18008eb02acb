"""Origin of the report's numbers: commands, environments, training curves and failures."""

from __future__ import annotations

import csv
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from harmbench.contracts.fit_progress import CurvePoint
from harmbench.data.scan_kind import kind_of_scans
from harmbench.leaderboard.groups import BAD, Group
from harmbench.report.training_plots import training
from harmbench.store.provenance import Provenance
from harmbench.tracking.reader import cell_file

_FRONT_REASONS = 50


def training_page(home: Path, group: Group) -> Iterator[dict[str, Any]]:
    """Lay out training curves by method; a fit that several cells share is drawn once."""
    for label, runs in fitted_runs(group.runs):
        curves = training_curves(home, runs)
        drawn = training(curves.by_fit)
        if drawn:
            about = f"Fits for {', '.join(curves.tasks)}."
            yield {"label": label, "about": about, "plots": list(drawn.items())}


def fitted_runs(runs: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield the runs with a fit, by method."""
    fitted = runs[(runs["fit"] != "") & (runs["status"] != "skipped")]
    for label, of_label in fitted.groupby("label", sort=False):
        yield str(label), of_label


@dataclass(frozen=True)
class TrainingCurves:
    """The points of a method's training curves by the title of the fit, and the fits' tasks."""

    by_fit: Mapping[str, tuple[CurvePoint, ...]]
    tasks: tuple[str, ...]


def training_curves(home: Path, runs: pd.DataFrame) -> TrainingCurves:
    """Return the training curves of one method's runs; fits without curves are left out."""
    curves: dict[str, tuple[CurvePoint, ...]] = {}
    tasks: dict[str, None] = {}
    for _, of_fit in runs.groupby("fit", sort=False):
        points = _curves(home, *of_fit[["cell", "run_id"]].iloc[0])
        if not points:
            continue
        served = list(dict.fromkeys(of_fit["task"]))
        tasks.update(dict.fromkeys(served))
        where = served[0] if len(served) == 1 else f"{len(served)} tasks"
        title = f"seed {of_fit['seed'].iloc[0]}, {where}"
        curves[title if title not in curves else f"{title} ({len(curves)})"] = points
    return TrainingCurves(curves, tuple(tasks))


def _curves(home: Path, cell: str, run_id: str) -> tuple[CurvePoint, ...]:
    """Return the training curves of a cell's fit."""
    path = cell_file(home, cell, run_id, "curves.csv")
    if path is None:
        return ()
    with path.open(newline="") as stream:
        return tuple(
            CurvePoint(int(row["step"]), row["name"], float(row["value"]))
            for row in csv.DictReader(stream)
        )


def failures_of(home: Path, group: Group) -> list[dict[str, Any]]:
    """Return the cells without a number, each method and reason once."""
    cells = []
    bad = group.runs[group.runs["status"].isin(BAD)]
    for (label, status, reason), same in bad.groupby(["label", "status", "reason"], sort=False):
        path = None
        if status == "failed":
            first = same.iloc[0]
            path = cell_file(home, str(first["cell"]), str(first["run_id"]), "traceback.txt")
        tasks = {
            str(task): sorted(map(int, its["seed"]))
            for task, its in same.groupby("task", sort=False)
        }
        cells.append(
            {
                "label": label,
                "status": status,
                "reason": reason,
                "traceback": "" if path is None else path.read_text(errors="replace"),
                "where": "; ".join(f"{task} (seed {_list(its)})" for task, its in tasks.items()),
            }
        )
    return cells


def unboarded(runs: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the cells that are on no board, each method and reason once."""
    keys = ["cohort", "kind", "preset", "label", "status", "reason"]
    cells = [
        dict(zip(keys, values, strict=True))
        | {"words": kind_of_scans(str(values[1])), "tasks": _list(dict.fromkeys(same["task"]))}
        for values, same in runs.groupby(keys, sort=False)
    ]
    return cells[:_FRONT_REASONS]


def bad_cells(runs: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the cells of a task without a number, each method and reason once."""
    bad = runs[runs["status"].isin(BAD)]
    return [
        {"label": label, "status": status, "reason": reason, "seeds": _list(same["seed"])}
        for (label, status, reason), same in bad.groupby(["label", "status", "reason"], sort=False)
    ]


def _list(values: Iterable[Any]) -> str:
    return ", ".join(map(str, values))


@dataclass(frozen=True, kw_only=True)
class Origin:
    """A command or an environment, listed once on a page."""

    id: str
    name: str
    text: str = ""
    title: str = ""
    facts: tuple[tuple[str, str], ...] = ()


def origins_of(
    runs: pd.DataFrame, origins: Mapping[str, Provenance], labels: Mapping[str, int]
) -> dict[str, Any]:
    """Lay out commands, environments and runs behind the numbers of a task."""
    commands: dict[str, Origin] = {}
    environments: dict[tuple[tuple[str, str], ...], Origin] = {}
    lines = []
    anchored = set()
    ordered = runs.assign(index=runs["label"].map(labels)).sort_values(["index", "seed"])
    for run in ordered.to_dict("records"):
        origin = origins[run["run_id"]]
        text = origin.command or "not recorded"
        facts = tuple(origin.environment.items())
        command = commands.setdefault(text, _command(text, len(commands) + 1))
        environment = environments.setdefault(facts, _environment(facts, len(environments) + 1))
        index = labels[run["label"]]
        lines.append(
            {
                "label": run["label"],
                "seed": run["seed"],
                "status": run["status"],
                "command": command,
                "environment": environment,
                "settings": ", ".join(f"{k} = {v}" for k, v in origin.settings.items()),
                "fit": run["fit"],
                "run_id": run["run_id"],
                "bundle": run["bundle"],
                "recorded": time.strftime("%Y-%m-%d %H:%M", time.localtime(run["started"] / 1000)),
                "anchor": "" if index in anchored else f"r{index}",
            }
        )
        anchored.add(index)
    return {
        "commands": list(commands.values()),
        "environments": list(environments.values()),
        "runs": lines,
    }


def _command(text: str, number: int) -> Origin:
    return Origin(id=f"command-{number}", name=f"command {number}", text=text)


def _environment(facts: tuple[tuple[str, str], ...], number: int) -> Origin:
    title = _list(f"{key} {value[:12]}" for key, value in facts)
    return Origin(
        id=f"environment-{number}", name=f"environment {number}", title=title, facts=facts
    )
