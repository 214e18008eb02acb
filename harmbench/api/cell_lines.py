"""A line of the log for each cell that ends, and one for the skipped cells of a task."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from harmbench.contracts.cell import Cell, CellResult, Status
from harmbench.util.name_list import first_names
from harmbench.util.progress import Progress

_DETAILS = 3  # numbers in the line of a cell without a headline number
_METHODS = 3  # names of a skipped task
_FORESEEN = (Status.SKIPPED, Status.CACHED)


class CellLines:
    """Logs the cells of a run as they end.

    Skipped cells are known before the first is computed, so they are collected until then.

    Parameters
    ----------
    progress
        Where the lines are logged.
    """

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._skipped: list[tuple[Cell, str]] = []
        self._count = 0
        self._total = 0

    def add(self, number: int, total: int, cell: Cell, result: CellResult) -> None:
        """Take the next cell; `number` and `total` count the cells."""
        self._total = total
        if result.status is Status.SKIPPED:
            self._skipped.append((cell, result.reason or ""))
            return
        if result.status not in _FORESEEN:
            self.end()
        self._log(1, _line(cell, result))

    def end(self) -> None:
        """Log the skipped cells that were collected."""
        skipped, self._skipped = self._skipped, []
        for count, line in skip_lines(skipped):
            self._log(count, line)

    def _log(self, count: int, line: str) -> None:
        self._count += count
        self._progress.log(f"[{self._count}/{self._total}] {line}")


def skip_lines(skipped: Sequence[tuple[Cell, str]]) -> Iterator[tuple[int, str]]:
    """Yield a line for each task and reason of skipped cells, with the number of its cells."""
    groups: dict[tuple[str, str], list[Cell]] = {}
    for cell, reason in skipped:
        groups.setdefault((cell.task, reason), []).append(cell)
    for (task, reason), cells in groups.items():
        labels = list(dict.fromkeys(cell.label for cell in cells))
        if len(cells) == 1:
            where = cells[0].title
        elif len(cells) == len(labels):
            where = f"{first_names(labels, _METHODS)} on {task}"
        else:
            where = f"{first_names(labels, _METHODS)} on {task} ({len(cells)} cells)"
        yield len(cells), f"{Status.SKIPPED.value:8} {where}: {reason}"


def _line(cell: Cell, result: CellResult) -> str:
    """Return one line with the status and the headline scores of a cell."""
    line = f"{result.status.value:8} {cell.title}"
    if result.reason:
        return f"{line}: {result.reason}"
    headline = [name for name in result.facts["headline"] if name in result.estimates]
    # Without truth, there is no headline number: show details instead.
    names = headline or list(result.estimates)[:_DETAILS]
    scores = [f"{name} {result.estimates[name].mean:.4g}" for name in names]
    flagged, scored = len(result.facts.get("flags", ())), result.facts["test_scans"]
    notes = [f"{flagged} of {scored} scans flagged"] if flagged else []
    if result.missing:
        notes.append(f"{len(result.missing)} of {scored + len(result.missing)} scans failed")
    return f"{line}: {', '.join(scores)}" + (f" ({'; '.join(notes)})" if notes else "")
