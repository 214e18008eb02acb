"""What is behind the report's numbers: commands, environments, training, and what went wrong."""

from __future__ import annotations

import csv
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from harmbench.contracts.fit_progress import CurvePoint
from harmbench.data.scan_kind import kind_of_scans
from harmbench.leaderboard.groups import BAD, Group
from harmbench.report import plots
from harmbench.tracking.provenance import Provenance, cell_file

_FRONT_REASONS = 50


def training_page(group: Group) -> Iterator[dict[str, Any]]:
    """Lay out curves method by method; a fit that several cells share is drawn once."""
    fitted = group.runs[(group.runs["fit"] != "") & (group.runs["status"] != "skipped")]
    for label, of_label in fitted.groupby("label", sort=False):
        curves: dict[str, tuple[CurvePoint, ...]] = {}
        tasks: dict[str, None] = {}
        for _, of_fit in of_label.groupby("fit", sort=False):
            points = _curves(str(of_fit["cell"].iloc[0]), str(of_fit["run_id"].iloc[0]))
            if not points:
                continue
            its = list(dict.fromkeys(of_fit["task"]))
            tasks.update(dict.fromkeys(its))
            where = its[0] if len(its) == 1 else f"{len(its)} tasks"
            title = f"seed {of_fit['seed'].iloc[0]}, {where}"
            curves[title if title not in curves else f"{title} ({len(curves)})"] = points
        drawn = plots.training(curves)
        if drawn:
            about = f"Fits that served {', '.join(tasks)}."
            yield {"label": label, "about": about, "plots": list(drawn.items())}


def _curves(cell: str, run_id: str) -> tuple[CurvePoint, ...]:
    """Return what the fit of a cell recorded by step."""
    path = cell_file(cell, run_id, "curves.csv")
    if path is None:
        return ()
    with path.open(newline="") as stream:
        return tuple(
            CurvePoint(int(row["step"]), row["name"], float(row["value"]))
            for row in csv.DictReader(stream)
        )


def failures_of(group: Group) -> list[dict[str, Any]]:
    """Return what has no number, each method and reason once."""
    found = []
    bad = group.runs[group.runs["status"].isin(BAD)]
    for (label, status, reason), same in bad.groupby(["label", "status", "reason"], sort=False):
        path = None
        if status == "failed":
            first = same.iloc[0]
            path = cell_file(str(first["cell"]), str(first["run_id"]), "traceback.txt")
        tasks = {
            str(task): sorted(map(int, its["seed"]))
            for task, its in same.groupby("task", sort=False)
        }
        found.append(
            {
                "label": label, "status": status, "reason": reason,
                "traceback": "" if path is None else path.read_text(errors="replace"),
                "where": "; ".join(f"{task} (seed {_list(its)})" for task, its in tasks.items()),
            }
        )  # fmt: skip
    return found


def unboarded(runs: pd.DataFrame) -> list[dict[str, Any]]:
    """Return cells of which no board can be made, each method and reason once."""
    keys = ["cohort", "kind", "preset", "label", "status", "reason"]
    found = [
        dict(zip(keys, values, strict=True))
        | {"words": kind_of_scans(str(values[1])), "tasks": _list(dict.fromkeys(same["task"]))}
        for values, same in runs.groupby(keys, sort=False)
    ]
    return found[:_FRONT_REASONS]


def bad_cells(runs: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the cells of a task without a number, each method and reason once."""
    bad = runs[runs["status"].isin(BAD)]
    return [
        {"label": label, "status": status, "reason": reason, "seeds": _list(same["seed"])}
        for (label, status, reason), same in bad.groupby(["label", "status", "reason"], sort=False)
    ]


def _list(values: Iterable[Any]) -> str:
    return ", ".join(map(str, values))


@dataclass(frozen=True)
class _Named:
    """A command or an environment, once on a page."""

    id: str
    name: str
    text: str = ""
    title: str = ""
    facts: tuple[tuple[str, str], ...] = ()


def origins_of(
    runs: pd.DataFrame, origins: Mapping[str, Provenance], labels: Mapping[str, int]
) -> dict[str, Any]:
    """Lay out where the numbers of a task are from; commands and environments are named."""
    commands: dict[str, _Named] = {}
    environments: dict[tuple[tuple[str, str], ...], _Named] = {}
    lines = []
    anchored = set()
    ordered = runs.assign(place=runs["label"].map(labels)).sort_values(["place", "seed"])
    for run in ordered.to_dict("records"):
        origin = origins[run["run_id"]]
        text = origin.command or "not recorded"
        command = commands.setdefault(
            text, _Named(f"command-{len(commands) + 1}", f"command {len(commands) + 1}", text)
        )
        facts = tuple(origin.environment.items())
        environment = environments.setdefault(
            facts,
            _Named(
                f"environment-{len(environments) + 1}",
                f"environment {len(environments) + 1}",
                title=_list(f"{key} {value[:12]}" for key, value in facts),
                facts=facts,
            ),
        )
        place = labels[run["label"]]
        lines.append(
            {
                "label": run["label"], "seed": run["seed"], "status": run["status"],
                "command": command, "environment": environment,
                "settings": ", ".join(f"{k} = {v}" for k, v in origin.settings.items()),
                "fit": run["fit"], "run_id": run["run_id"],
                "recorded": time.strftime("%Y-%m-%d %H:%M", time.localtime(run["started"] / 1000)),
                "anchor": "" if place in anchored else f"r{place}",
            }
        )  # fmt: skip
        anchored.add(place)
    return {
        "commands": list(commands.values()),
        "environments": list(environments.values()),
        "runs": lines,
    }
