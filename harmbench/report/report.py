"""The report: a folder of static pages of all recorded runs, readable without a network."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from harmbench.errors import UserError
from harmbench.leaderboard.groups import Group, grouped
from harmbench.leaderboard.registered import declarations
from harmbench.plugins import Registry
from harmbench.report.board_view import Extra
from harmbench.report.pages import Pages
from harmbench.tracking import reader
from harmbench.util.progress import Progress

_MARK = 'content="harmbench report"'


@dataclass(frozen=True)
class WrittenReport:
    """A report that was written.

    Attributes
    ----------
    index
        The front page.
    pages
        Number of pages.
    size
        Size of the front page, in bytes.
    """

    index: Path
    pages: int
    size: int


def write_report(
    folder: Path,
    home: Path,
    registry: Registry,
    progress: Progress,
    extra: Callable[[pd.DataFrame], Extra] | None = None,
    *,
    front: Mapping[str, Any] | None = None,
) -> WrittenReport:
    """Write the report of all recorded runs.

    The folder is replaced when the report is complete, so that readers of an older report
    never meet a partial one.

    Parameters
    ----------
    folder
        New, empty, or an older report, which is replaced.
    home
        Home folder, which holds the recorded runs.
    registry
        Where summaries of tasks and metrics, and published numbers, are looked up.
    progress
        Shows the progress.
    extra
        Returns the columns of plugins, given the table of runs.
    front
        Title, digest and bundles of the site of a results repository, which shows no results of
        a shared store; None for the report of a home.

    Raises
    ------
    UserError
        If nothing is recorded, or the folder holds other files.
    """
    folder = folder.absolute()
    _check(folder)
    store = reader.read(home, shared=front is None)
    runs = store.runs()
    if runs.empty:
        raise UserError(
            "nothing is recorded yet; try `harmbench run -m identity -m histogram -t domain3`"
        )
    groups = list(grouped(runs, store.headlines, declarations(registry)))
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as building:
        site = Path(building) / "report"
        site.mkdir()
        pages = Pages(
            site,
            home,
            registry,
            extra={} if extra is None else extra(runs),
            origins=store.provenance(),
            runs=runs,
            headlines=store.headlines,
            front=front,
        )
        _write_pages(pages, groups, registry, progress)
        _replace(folder, site)
    index = folder / "index.html"
    return WrittenReport(index, pages.count, index.stat().st_size)


def _write_pages(
    pages: Pages, groups: Sequence[Group], registry: Registry, progress: Progress
) -> None:
    pages.assets()
    pages.front(groups)
    for group in groups:
        pages.group(group)
        tasks = declarations(registry, "tasks", [task.name for task in group.tasks])
        for task in progress.track(group.tasks, f"pages of {group.title}"):
            pages.task(group, task, tasks.get(task.name, {}).get("summary", ""))


def _replace(folder: Path, site: Path) -> None:
    """Put the finished report in the place of an older one."""
    if folder.exists():
        shutil.rmtree(folder)
    site.rename(folder)


def _check(folder: Path) -> None:
    """Refuse to replace a folder that is not a report."""
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    index = folder / "index.html"
    if index.is_file() and _MARK in index.read_text(errors="replace")[:2000]:
        return
    raise UserError(f"'{folder}' is not a report; choose a new folder with -o")
