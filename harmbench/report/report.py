"""The report: a folder of static pages of all recorded runs, readable without a network."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from harmbench.errors import UserError
from harmbench.leaderboard.groups import grouped
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
) -> WrittenReport:
    """Write the report of all recorded runs, in the place of an older one if there is one.

    Parameters
    ----------
    folder
        As of `replacing`.
    home, registry, progress, extra
        As of `write_pages`.

    Raises
    ------
    UserError
        If nothing is recorded, or the folder holds other files.
    """
    with replacing(folder) as building:
        pages = write_pages(building, home, registry, progress, extra)
    return written_report(folder, pages)


def written_report(folder: Path, pages: int) -> WrittenReport:
    """Return the path and the size of a written report, with its number of pages."""
    index = folder.absolute() / "index.html"
    return WrittenReport(index, pages, index.stat().st_size)


@contextlib.contextmanager
def replacing(folder: Path) -> Iterator[Path]:
    """Give a folder for a new report, which takes its place when it is complete.

    Readers of an older report never meet a partial one, and after an error it is as it was.

    Parameters
    ----------
    folder
        New, empty, or an older report, which is replaced.

    Yields
    ------
    pathlib.Path
        An empty folder.

    Raises
    ------
    UserError
        If the folder holds other files.
    """
    folder = folder.absolute()
    _check(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as temporary:
        building = Path(temporary) / "report"
        building.mkdir()
        yield building
        if folder.exists():
            # A folder cannot replace another one. To rename it is faster than to remove it.
            folder.rename(Path(temporary) / "older")
        building.rename(folder)


def write_pages(
    folder: Path,
    home: Path,
    registry: Registry,
    progress: Progress,
    extra: Callable[[pd.DataFrame], Extra] | None = None,
    *,
    front: Mapping[str, Any] | None = None,
) -> int:
    """Write the pages of a report into an empty folder, and return their number.

    Parameters
    ----------
    folder
        The folder.
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
        If nothing is recorded.
    """
    store = reader.read(home, shared=front is None)
    runs = store.runs()
    if runs.empty:
        raise UserError(
            "nothing is recorded yet; try `harmbench run -m identity -m histogram -t domain3`"
        )
    groups = list(grouped(runs, store.headlines, declarations(registry)))
    pages = Pages(
        folder,
        home,
        registry,
        extra={} if extra is None else extra(runs),
        origins=store.provenance(),
        runs=runs,
        headlines=store.headlines,
        front=front,
    )
    pages.assets()
    pages.front(groups)
    for group in groups:
        pages.group(group)
        tasks = declarations(registry, "tasks", [task.name for task in group.tasks])
        for task in progress.track(group.tasks, f"pages of {group.title}"):
            pages.task(group, task, tasks.get(task.name, {}).get("summary", ""))
    return pages.count


def _check(folder: Path) -> None:
    """Refuse to replace a folder that is not a report."""
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    index = folder / "index.html"
    if index.is_file() and _MARK in index.read_text(errors="replace")[:2000]:
        return
    raise UserError(f"'{folder}' is not a report; choose a new folder with -o")
