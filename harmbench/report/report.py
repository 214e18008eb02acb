"""The report: a folder of static pages, made from what MLflow holds and read without a network."""

from __future__ import annotations

import re
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from harmbench.errors import UserError
from harmbench.leaderboard.formatting import axis_title, short
from harmbench.leaderboard.groups import LINKED_TASKS, Group, TaskPage, grouped
from harmbench.leaderboard.notes import notes
from harmbench.leaderboard.published import references
from harmbench.leaderboard.table import Board
from harmbench.plugins import Registry
from harmbench.report import plots
from harmbench.report.costs import cost_page, prices_of
from harmbench.report.fields import (
    TableField,
    as_rank,
    as_score,
    by_value,
    direction,
    estimate_field,
    number,
    scale_of,
    score_field,
)
from harmbench.report.origins import bad_cells, failures_of, origins_of, training_page, unboarded
from harmbench.report.plots import COSTS
from harmbench.report.viewer import LIMIT, Viewer, palette, write_viewer
from harmbench.tracking import reader as recorded
from harmbench.tracking.provenance import Provenance, cell_file, provenance
from harmbench.util.progress import Progress

Extra = Mapping[str, Mapping[str, str]]

# What the front page shows of a large board, so that it opens at once on a phone.
_FRONT_FIELDS = 1200
_FRONT_BOARDS = 3
_MARK = 'content="harmbench report"'


@dataclass(frozen=True)
class Written:
    """What was written.

    Attributes
    ----------
    index
        The front page.
    pages
        How many pages there are.
    size
        Bytes of the front page.
    """

    index: Path
    pages: int
    size: int


def write_report(
    folder: Path,
    registry: Registry,
    progress: Progress,
    extra: Callable[[pd.DataFrame], Extra] | None = None,
) -> Written:
    """Write the report of all that is recorded.

    The folder takes its place when it is whole: a reader of an older report there never
    meets half of a new one.

    Parameters
    ----------
    folder
        New, empty, or a report, which is replaced.
    registry
        Where summaries of tasks and metrics, and published figures, are looked up.
    progress
        Shows how far it has come.
    extra
        Returns the columns that plugins add to the boards, for the table of runs.

    Raises
    ------
    UserError
        If nothing is recorded, or the folder holds something else.
    """
    folder = folder.absolute()
    _check(folder)
    store = recorded.read()
    runs = store.runs()
    if runs.empty:
        raise UserError(
            "nothing is recorded yet; try `harmbench run -m identity -m histogram -t domain3`"
        )
    units = {name: its["unit"] for name, its in _known(registry, "metrics").items()}
    groups = list(grouped(runs, store.headlines, units))
    columns = extra(runs) if extra is not None else {}
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as building:
        site = Path(building) / "report"
        site.mkdir()
        pages = _Pages(site, registry, columns, provenance(), runs, store.headlines)
        pages.assets()
        pages.front(groups)
        for group in groups:
            pages.group(group)
            known = _known(registry, "tasks", [task.name for task in group.tasks])
            for task in progress.track(group.tasks, f"pages of {group.title}"):
                pages.task(group, task, known.get(task.name, {}).get("summary", ""))
        if folder.exists():
            shutil.rmtree(folder)
        site.rename(folder)
    index = folder / "index.html"
    return Written(index, pages.count, index.stat().st_size)


def _check(folder: Path) -> None:
    """Refuse to replace what is no report."""
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    index = folder / "index.html"
    if index.is_file() and _MARK in index.read_text(errors="replace")[:2000]:
        return
    raise UserError(f"'{folder}' holds something that is no report; name a new folder with -o")


def _known(registry: Registry, kind: str, sources: Sequence[str] = ()) -> dict[str, dict[str, str]]:
    """Return what is known of tasks or metrics without loading them; nothing if it is a muddle."""
    try:
        entries = registry.entries(kind, tuple(sources))
    except UserError:
        return {}
    known = {name: entry.lazy.attributes() for name, entry in entries.items()}
    return {
        name: {key: found.get(key, "") for key in ("summary", "unit")}
        for name, found in known.items()
    }


class _Pages:
    """Writes pages into a folder."""

    def __init__(
        self,
        site: Path,
        registry: Registry,
        extra: Extra,
        origins: Mapping[str, Provenance],
        runs: pd.DataFrame,
        headlines: Sequence[str],
    ) -> None:
        self.site = site
        self.count = 0
        self._registry = registry
        self._extra = extra
        self._origins = origins
        self._runs = runs
        self._headlines = headlines
        environment = Environment(
            loader=PackageLoader("harmbench.report"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        environment.filters |= {"inline": _inline, "soft": _soft}
        self._environment = environment
        self._metrics = _known(registry, "metrics")

    def _write(self, name: str, template: str, **values: Any) -> None:
        path = self.site / name
        path.parent.mkdir(exist_ok=True)
        page: Template = self._environment.get_template(template)
        text = page.render(
            root="../" * name.count("/"),
            version=version("harmbench"),
            written=time.strftime("%Y-%m-%d %H:%M"),
            **{"plots": True, "phantom": True, **values},
        )
        path.write_text(text, encoding="utf-8")
        self.count += 1

    def assets(self) -> None:
        """Write the style, the script, and Plotly's own."""
        import plotly

        folder = self.site / "assets"
        folder.mkdir()
        templates = files("harmbench.report") / "templates"
        colours = ", ".join("#{:02x}{:02x}{:02x}".format(*rgb) for rgb in palette()[::15])
        style = (templates / "report.css").read_text().replace("{{ scale }}", colours)
        (folder / "report.css").write_text(style)
        (folder / "report.js").write_text((templates / "report.js").read_text())
        script = Path(plotly.__file__).parent / "package_data" / "plotly.min.js"
        shutil.copyfile(script, folder / "plotly.min.js")

    def front(self, groups: Sequence[Group]) -> None:
        """Write the front page, which has the newest boards of the main metrics."""
        views = []
        for group in groups[:1]:
            main = [board for board in group.boards if board.metric in self._headlines]
            views = [
                self._view(group, board, f"{group.slug}/", front=True)
                for board in (main or group.boards)[:_FRONT_BOARDS]
            ]
        boarded = {run for group in groups for run in group.runs["run_id"]}
        rest = self._runs[~self._runs["run_id"].isin(boarded)]
        statuses = self._runs["status"].value_counts()
        counts = {
            "cells": len(self._runs),
            "methods": self._runs["label"].nunique(),
            "tasks": self._runs["task"].nunique(),
            "statuses": [(str(status), int(n)) for status, n in statuses.items()],
        }
        self._write(
            "index.html", "index.html", crumbs=[], plots=False, counts=counts, groups=groups,
            views=views, phantom=bool((self._runs["kind"] == "phantom").any()),
            rest=unboarded(rest),
        )  # fmt: skip

    def group(self, group: Group) -> None:
        """Write the pages of a group, but for those of its tasks."""
        views = [self._view(group, board, "", front=False) for board in group.boards]
        common = {"group": group, "phantom": group.kind == "phantom"}
        above = [(group.title, "index.html")]
        self._write(
            f"{group.slug}/index.html", "group.html", crumbs=[(group.title, "")], views=views,
            published=self._published(group), plots=False, **common,
        )  # fmt: skip
        self._write(
            f"{group.slug}/cost.html", "cost.html", crumbs=[*above, ("cost and quality", "")],
            **cost_page(group, self._headlines), **common,
        )  # fmt: skip
        self._write(
            f"{group.slug}/training.html", "training.html", crumbs=[*above, ("training", "")],
            methods=list(training_page(group)), **common,
        )  # fmt: skip
        self._write(
            f"{group.slug}/failures.html", "failures.html",
            crumbs=[*above, ("failures and skips", "")], failures=failures_of(group), plots=False,
            **common,
        )  # fmt: skip

    def _published(self, group: Group) -> list[dict[str, Any]]:
        tables = []
        for board in group.boards:
            found = references(self._registry, board)
            tasks = [task for task in board.tasks if any(task in each.values for each in found)]
            rows = [
                {
                    "label": each.label, "source": each.source, "data": each.data,
                    "values": [short(each.values[t]) if t in each.values else "" for t in tasks],
                }
                for each in found
            ]  # fmt: skip
            if rows:
                tables.append({"metric": board.metric, "tasks": tasks, "rows": rows})
        return tables

    def _view(self, group: Group, board: Board, root: str, *, front: bool) -> dict[str, Any]:
        """Lay a board out for a page from which `root` leads to the group's."""
        tasks, rows = board.tasks, board.rows
        left_out = ""
        if front and len(tasks) * len(rows) > _FRONT_FIELDS:
            tasks = tasks[:LINKED_TASKS]
            most = max(1, _FRONT_FIELDS // len(tasks))
            controls = [row for row in rows if row.control]
            best = [row for row in rows if not row.control][: max(1, most - len(controls))]
            chosen = {row.label for row in (*controls, *best)}
            shown = tuple(row for row in rows if row.label in chosen)
            left_out = (
                f"Here are the {len(best)} best of {len(rows) - len(controls)} methods on "
                f"{len(tasks)} of {len(board.tasks)} tasks."
            )
            rows = shown
        better = "up" if board.higher_is_better else "down"
        several = len(board.tasks) > 1
        placed = any(row.normalized is not None for row in rows)
        columns = []
        if several:
            columns.append({"name": "rank", "better": "down", "task": False})
            columns.append({"name": "tasks", "better": "up", "task": False})
        if placed:
            columns.append({"name": "score", "better": "up", "task": False})
        columns += [{"name": task, "better": better, "task": True} for task in tasks]
        columns += [{"name": heading, "better": "", "task": False} for heading in self._extra]
        scales = {task: scale_of(board, task) for task in tasks}
        lines = []
        for row in rows:
            cells = []
            if several:
                cells.append(estimate_field(row.rank, as_rank))
                cells.append(
                    TableField(text=f"{row.known}/{len(board.tasks)}", sort=str(row.known))
                )
            if placed:
                cells.append(estimate_field(row.normalized, as_score))
            anchor = group.labels[row.label]
            for task in tasks:
                href = f"{root}{group.files[task]}#r{anchor}"
                cells.append(score_field(row, row.scores.get(task), scales[task], href))
            cells += [TableField(text=texts.get(row.label, "")) for texts in self._extra.values()]
            lines.append({"label": row.label, "control": row.control or "", "cells": cells})
        for title, bound in board.bounds.items():
            cells = [TableField() for _ in range(2 * several + placed)]
            cells += [estimate_field(bound.get(task)) for task in tasks]
            cells += [TableField() for _ in self._extra]
            lines.append({"label": title, "control": "to compare with", "cells": cells})
        remarks = notes(board)
        return {
            "id": f"b-{re.sub(r'[^a-z0-9]+', '-', board.metric.lower())}",
            "metric": board.metric,
            "direction": direction(board),
            "caption": board.title,
            "columns": columns,
            "rows": lines,
            "left_out": left_out,
            "whole": f"{root}index.html",
            "notes": remarks[:40] if front else remarks,
        }

    def task(self, group: Group, page: TaskPage, summary: str) -> None:
        """Write the page of a task; `summary` says what is asked, if that is known."""
        of_task = group.runs[group.runs["task"] == page.name]
        on = [board for board in group.boards if page.name in board.tasks]
        parts = [self._part(board, page.name, i) for i, board in enumerate(on)]
        quality = on[0]
        prices = prices_of(of_task)
        values = {row.label: row.scores[page.name].value for row in quality.rows
                  if page.name in row.scores and not row.control}  # fmt: skip
        drawn = [
            (cost.column, plots.pareto(cost, prices.get(cost.column, {}), values,
                                       axis_title(quality),
                                       higher_is_better=quality.higher_is_better))
            for cost in COSTS
        ]  # fmt: skip
        stem = page.file.removesuffix(".html")
        origins = origins_of(of_task, self._origins, group.labels)
        self._write(
            f"{group.slug}/{page.file}", "task.html",
            crumbs=[(group.title, "index.html"), (page.name, "")],
            group=group, phantom=group.kind == "phantom",
            task={"name": page.name, "summary": summary},
            metrics=parts, bad=bad_cells(of_task),
            cost={"quality": quality.metric, "plots": [(n, p) for n, p in drawn if p is not None]},
            viewer=self._viewer(group, quality, of_task, stem), images="images/",
            limit=LIMIT, **origins,
        )  # fmt: skip

    def _viewer(self, group: Group, board: Board, runs: pd.DataFrame, stem: str) -> Viewer | None:
        done = runs[runs["status"] == "done"].sort_values("seed").drop_duplicates("label")
        ids = done.set_index("label")
        found = {}
        # The floor is the source itself, and the ceiling the reference.
        rows = [row for row in board.methods if row.label in ids.index] or list(board.rows)
        for row in rows:
            if row.label in ids.index:
                run = ids.loc[row.label]
                path = cell_file(str(run["cell"]), str(run["run_id"]), "slices.npz")
                if path is not None:
                    found[row.label] = path
        return write_viewer(self.site / group.slug / "images", stem, found)

    def _part(self, board: Board, task: str, place: int) -> dict[str, Any]:
        """Lay out what a task's page has of a metric."""
        scale = scale_of(board, task)
        rows = []
        for row in board.rows:
            score = row.scores.get(task)
            if score is None:
                continue
            cells = [
                score_field(row, score, scale, "", interval=False),
                number(score.low),
                number(score.high),
                _plain(score.n),
                _plain(len(score.seeds)),
                number(score.spread),
                _plain(score.tier or ""),
                number(score.p),
            ]
            rows.append({"label": row.label, "control": row.control or "", "cells": cells})
        have = [row for row in board.rows if row.scores.get(task) and row.scores[task].known]
        floor = next((row for row in have if row.control == "floor"), None)
        best = next((row for row in by_value(board, task) if not row.control), None)
        drawn = [("intervals", plots.intervals(board, task))]
        if floor is not None:
            drawn += [
                ("gain", plots.differences(board, task, floor)),
                ("people", plots.scatter(board, task, floor)),
            ]
        if best is not None:
            drawn.append(("gap", plots.differences(board, task, best)))
        return {
            "id": f"m-{re.sub(r'[^a-z0-9]+', '-', board.metric.lower())}",
            "name": board.metric,
            "direction": direction(board),
            "better": "up" if board.higher_is_better else "down",
            "summary": self._metrics.get(board.metric, {}).get("summary", ""),
            "rows": rows,
            "plots": [(name, plot) for name, plot in drawn if plot is not None],
            "open": place == 0,
        }


def _plain(value: object) -> TableField:
    return TableField(text=str(value), sort=str(value))


def _inline(text: str) -> Markup:
    return Markup(plots.inline(text))


def _soft(name: str) -> Markup:
    """Let a long name break after its commas, brackets and dashes."""
    return Markup("<wbr>").join(re.findall(r"[^,\[_-]+[,\[_-]*|[,\[_-]+", name))
