"""Progress as bars on a terminal, and as plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from harmbench.util.progress import item_count

T = TypeVar("T")
_SECONDS_BETWEEN_LINES = 15.0


class Bars:
    """Bars with the remaining time, one per level of nesting."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._tasks: list[TaskID] = []

    def track(self, items: Iterable[T], description: str, total: int | None = None) -> Iterator[T]:
        """Yield the items, and advance a bar."""
        total = item_count(items, total)
        task = self._progress.add_task(description, total=total, note="")
        self._tasks.append(task)
        try:
            for item in items:
                yield item
                self._progress.advance(task)
        finally:
            self._tasks.remove(task)
            self._progress.remove_task(task)

    def note(self, text: str) -> None:
        """Show a note next to the innermost bar."""
        if self._tasks:
            self._progress.update(self._tasks[-1], note=text)

    def lane(self) -> _BarLane:
        """Return a new bar for one of several workers."""
        return _BarLane(self._progress)

    def log(self, text: str) -> None:
        """Print a line above the bars."""
        self._progress.console.print(text, highlight=False, markup=False)


class _BarLane:
    """The bar of one of several workers."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._task: TaskID | None = None
        self._title = ""

    def show(self, title: str, count: int = 0, total: int | None = None, note: str = "") -> None:
        """Show the title of a job, how far it is, and a note."""
        if title != self._title or self._task is None:
            self.clear()  # a new bar, so that the remaining time is that of this job
            self._title = title
            self._task = self._progress.add_task(f"  {title}", total=total, note=note)
        self._progress.update(self._task, completed=count, total=total, note=note)

    def clear(self) -> None:
        """Remove the bar."""
        if self._task is not None:
            self._progress.remove_task(self._task)
            self._task = None


class _NoLane:
    """Shows nothing: with several workers, a log has one line per finished cell only."""

    def show(self, title: str, count: int = 0, total: int | None = None, note: str = "") -> None:
        """Show nothing."""

    def clear(self) -> None:
        """Show nothing."""


class Lines:
    """A plain line every 15 seconds, for logs."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._note = ""

    def track(self, items: Iterable[T], description: str, total: int | None = None) -> Iterator[T]:
        """Yield the items, and print every 15 seconds how many are done."""
        total = item_count(items, total)
        began = last = time.monotonic()
        for count, item in enumerate(items, start=1):
            yield item
            now = time.monotonic()
            if now - last > _SECONDS_BETWEEN_LINES:
                last = now
                of = f"/{total}" if total else ""
                left = f", {(now - began) / count * (total - count):.0f} s left" if total else ""
                note = f", {self._note}" if self._note else ""
                self.log(f"{description}: {count}{of}{left}{note}")
        self._note = ""

    def note(self, text: str) -> None:
        """Keep a note for the next line."""
        self._note = text

    def lane(self) -> _NoLane:
        """Return a lane that shows nothing."""
        return _NoLane()

    def log(self, text: str) -> None:
        """Print a line."""
        self._console.print(text, highlight=False, markup=False, soft_wrap=True)


@contextmanager
def shown(console: Console) -> Iterator[Bars | Lines]:
    """Show progress on the console: bars on a terminal, else lines."""
    if not console.is_terminal:
        yield Lines(console)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        yield Bars(progress)
