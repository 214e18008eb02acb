"""The pages of the report, written through Jinja templates."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from harmbench.leaderboard.bibliography import short
from harmbench.leaderboard.board import Board
from harmbench.leaderboard.groups import Group, TaskPage
from harmbench.leaderboard.registered import declarations
from harmbench.plugins import Registry
from harmbench.report.biology_plot import effect_and_biology
from harmbench.report.board_view import Extra, board_view, published_tables
from harmbench.report.costs import cost_page
from harmbench.report.figure import inline
from harmbench.report.origins import bad_cells, failures_of, origins_of, training_page, unboarded
from harmbench.report.overview import overview
from harmbench.report.task_view import metric_part, slice_viewer, task_costs
from harmbench.report.viewer import LIMIT, palette
from harmbench.store.provenance import Provenance

_FRONT_BOARDS = 3


class Pages:
    """Writes pages into a folder.

    Parameters
    ----------
    site
        The folder.
    home
        Home folder, which holds the files of the runs.
    registry
        Where summaries and published numbers are looked up.
    extra
        Columns of plugins.
    origins
        Provenance of every run.
    runs
        All runs.
    headlines
        Headline metrics.
    front
        As of `write_report`.

    Attributes
    ----------
    count
        Number of pages written.
    """

    def __init__(
        self,
        site: Path,
        home: Path,
        registry: Registry,
        *,
        extra: Extra,
        origins: Mapping[str, Provenance],
        runs: pd.DataFrame,
        headlines: Sequence[str],
        front: Mapping[str, Any] | None = None,
    ) -> None:
        self.count = 0
        self._site = site
        self._home = home
        self._registry = registry
        self._extra = extra
        self._origins = origins
        self._runs = runs
        self._headlines = headlines
        self._front = front
        environment = Environment(
            loader=PackageLoader("harmbench.report"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        # All results of a repository are imported.
        environment.globals["mark_imported"] = front is None
        environment.filters |= {"inline": _inline, "soft": _soft}
        self._environment = environment
        self._of_groups: dict[str, dict[str, tuple[str, dict[str, Any]]]] = {}
        self._metrics = declarations(registry)
        methods = declarations(registry, "methods")
        self._needs = {name: each.get("needs", "").lower() for name, each in methods.items()}
        self._references = {
            name: short(each.get("reference", "")) for name, each in methods.items()
        }

    def _write(self, name: str, template: str, **values: Any) -> None:
        path = self._site / name
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
        """Write the style sheet, the script and Plotly's script."""
        import plotly

        folder = self._site / "assets"
        folder.mkdir()
        templates = files("harmbench.report") / "templates"
        colours = ", ".join("#{:02x}{:02x}{:02x}".format(*rgb) for rgb in palette()[::15])
        style = (templates / "report.css").read_text().replace("{{ scale }}", colours)
        (folder / "report.css").write_text(style)
        (folder / "report.js").write_text((templates / "report.js").read_text())
        script = Path(plotly.__file__).parent / "package_data" / "plotly.min.js"
        shutil.copyfile(script, folder / "plotly.min.js")

    def front(self, groups: Sequence[Group]) -> None:
        """Write the front page, with the newest boards of the headline metrics."""
        views, first = [], None
        for group in groups[:1]:
            if group.standings is not None:
                first = overview(group, group.standings, self._needs, self._extra, front=True)
            views += [
                board_view(group, board, self._extra, f"{group.slug}/", front=True)
                for board in group.shown(())[:_FRONT_BOARDS]
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
            "index.html",
            "index.html",
            crumbs=[],
            plots=False,
            counts=counts,
            groups=groups,
            pages=[
                (name, heading)
                for group in groups[:1]
                for name, (heading, _) in self._subpages(group).items()
            ],
            overview=first,
            views=views,
            phantom=bool((self._runs["kind"] != "real").any()),
            rest=unboarded(rest),
            site=self._front,
        )

    def group(self, group: Group) -> None:
        """Write the pages of a group, except those of its tasks."""
        views = [board_view(group, board, self._extra, "", front=False) for board in group.boards]
        if group.standings is not None:
            first = overview(group, group.standings, self._needs, self._extra, front=False)
            views.insert(0, first)
        subpages = self._subpages(group)
        common = {
            "group": group,
            "phantom": group.kind != "real",
            "pages": [(name, heading) for name, (heading, _) in subpages.items()],
        }
        self._write(
            f"{group.slug}/index.html",
            "group.html",
            crumbs=[(group.title, "")],
            views=views,
            published=published_tables(self._registry, group),
            references=self._references_of(group),
            plots=False,
            **common,
        )
        for name, (heading, content) in subpages.items():
            self._write(
                f"{group.slug}/{name}.html",
                f"{name}.html",
                crumbs=[(group.title, "index.html"), (heading.lower(), "")],
                **content,
                **common,
            )

    def _references_of(self, group: Group) -> dict[str, str]:
        """Return the references of a group's methods that have one, by label."""
        rows = {row.label: row for board in group.boards for row in board.rows}
        named = {
            label: self._references.get(row.method) or row.submission.get("reference", "")
            for label, row in rows.items()
        }
        return {label: reference for label, reference in named.items() if reference}

    def _subpages(self, group: Group) -> dict[str, tuple[str, dict[str, Any]]]:
        """Return the headings and contents of a group's pages that have any, by file name."""
        if group.slug in self._of_groups:
            return self._of_groups[group.slug]
        pages: dict[str, tuple[str, dict[str, Any]]] = {
            "cost": ("Cost and quality", cost_page(group, self._headlines))
        }
        figure = effect_and_biology(group.boards)
        if figure is not None:
            pages["biology"] = ("Scanner effect and biology", {"figure": figure})
        methods = list(training_page(self._home, group))
        if methods:
            pages["training"] = ("Training", {"methods": methods})
        failures = failures_of(self._home, group)
        if failures:
            heading = f"Failures and skips ({group.n_bad})"
            pages["failures"] = (heading, {"failures": failures, "plots": False})
        self._of_groups[group.slug] = pages
        return pages

    def task(self, group: Group, page: TaskPage, summary: str) -> None:
        """Write the page of a task; `summary` is the task's, or empty."""
        runs = group.runs[group.runs["task"] == page.name]
        boards = [board for board in group.boards if page.name in board.tasks]
        images = self._site / group.slug / "images"
        self._write(
            f"{group.slug}/{page.file}",
            "task.html",
            crumbs=[(group.title, "index.html"), (page.name, "")],
            group=group,
            phantom=group.kind != "real",
            task={"name": page.name, "summary": summary},
            metrics=[
                metric_part(board, page.name, self._summary(board.metric), opened=i == 0)
                for i, board in enumerate(boards)
            ],
            bad=bad_cells(runs),
            cost=task_costs(_headline_board(boards, runs), page.name, runs),
            viewer=slice_viewer(
                self._home, images, page.file.removesuffix(".html"), boards, page.name, runs
            ),
            images="images/",
            limit=LIMIT,
            **origins_of(runs, self._origins, group.labels),
        )

    def _summary(self, metric: str) -> str:
        return self._metrics.get(metric, {}).get("summary", "")


def _headline_board(boards: Sequence[Board], runs: pd.DataFrame) -> Board:
    """Return the board of the first headline metric of a task that has numbers."""
    names = str(runs["headline"].iloc[-1]).split(",")
    by_metric = {board.metric: board for board in boards}
    return next((by_metric[name] for name in names if name in by_metric), boards[0])


def _inline(text: str) -> Markup:
    return Markup(inline(text))


def _soft(name: str) -> Markup:
    """Allow line breaks in a long name, after commas, brackets and dashes."""
    return Markup("<wbr>").join(re.findall(r"[^,\[_-]+[,\[_-]*|[,\[_-]+", name))
