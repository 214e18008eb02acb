"""Recorded results in Python: tables, boards, comparisons and figures."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from harmbench.api.board_result import BoardResult
from harmbench.errors import UserError
from harmbench.leaderboard.board import Board
from harmbench.leaderboard.groups import Group, grouped, headline_metrics
from harmbench.leaderboard.measure import measures
from harmbench.leaderboard.methods_paragraph import methods_paragraph
from harmbench.leaderboard.paired import compare, remarks, side
from harmbench.leaderboard.paired import tidy as tidy_differences
from harmbench.leaderboard.printed_table import PrintedTable
from harmbench.leaderboard.published import references
from harmbench.leaderboard.ranking_options import RankingOptions
from harmbench.leaderboard.registered import declarations, extra_columns, metrics_to_show, on_cohort
from harmbench.leaderboard.text import board_table, standings_table
from harmbench.plugins import Registry
from harmbench.statistics.subjects import decode
from harmbench.tracking import reader
from harmbench.util.home import home as default_home

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_DEFAULT_OPTIONS = RankingOptions()


class Results:
    """Recorded results of methods on tasks.

    Shown as a ranking and boards in a notebook.

    Parameters
    ----------
    runs
        The table of runs, as of `RecordedRuns.runs`.
    headlines
        Headline metrics of the tasks.
    registry
        Plugins, which declare properties of metrics.
    home
        Home folder, which holds the files of the cells.

    Attributes
    ----------
    home
        The home folder.
    """

    def __init__(
        self, runs: pd.DataFrame, headlines: Sequence[str], registry: Registry, home: Path
    ) -> None:
        self.home = home
        self._runs = runs
        self._headlines = headlines
        self._registry = registry
        self._declared = declarations(registry)

    def of_cells(self, keys: Collection[str]) -> Results:
        """Return the results of some cells, given by their keys."""
        chosen = self._runs if self._runs.empty else self._runs[self._runs["cell"].isin(keys)]
        return Results(chosen, self._headlines, self._registry, self.home)

    def on_cohort(self, name: str) -> Results:
        """Return the results on the cohorts of a name or glob.

        Raises
        ------
        UserError
            If there are none.
        """
        if self._runs.empty:
            return self
        runs = on_cohort(self._runs, name)
        return Results(runs, self._headlines, self._registry, self.home)

    def frame(self, by: str = "cell") -> pd.DataFrame:
        """Return all numbers as a tidy table.

        Parameters
        ----------
        by
            `"cell"` for one row per cell and metric, or `"subject"` for one row per cell, metric
            and subject.

        Returns
        -------
        pandas.DataFrame
            Columns `method` (label), `task`, `cohort`, `preset`, `split`, `seed`, `fold`,
            `status`, `reason` and `metric`, and `value`, `low`, `high` or `subject`, `value`. A
            cell without numbers has one row with an empty metric.

        Raises
        ------
        UserError
            If `by` is another text.
        """
        if by not in ("cell", "subject"):
            raise UserError.unknown("value of by", by, ("cell", "subject"))
        rows = self._subject_rows() if by == "subject" else self._cell_rows()
        names = [*_AXES, *(("subject", "value") if by == "subject" else ("value", "low", "high"))]
        return pd.DataFrame(list(rows), columns=names)

    def _cell_rows(self) -> Iterator[list[Any]]:
        for run, axes in self._cells():
            recorded = [name for name in self.metrics if pd.notna(run[name])]
            for name in recorded:
                yield [*axes, name, run[name], run[f"{name}.low"], run[f"{name}.high"]]
            if not recorded:
                yield [*axes, "", float("nan"), float("nan"), float("nan")]

    def _subject_rows(self) -> Iterator[list[Any]]:
        for run, axes in self._cells():
            for name in self.metrics:
                subjects, values = decode(run["subjects"], run[f"{name}.subjects"] or "")
                for subject, value in zip(subjects, values, strict=True):
                    yield [*axes, name, subject, float(value)]

    def _cells(self) -> Iterator[tuple[dict[Any, Any], list[Any]]]:
        for run in self._runs.to_dict("records"):
            yield run, [run["label"], *(run[name] for name in _AXES[1:-1])]

    @property
    def metrics(self) -> list[str]:
        """Names of all recorded metrics."""
        names = map(str, self._runs.columns)
        return [name.removesuffix(".low") for name in names if name.endswith(".low")]

    def groups(
        self,
        metrics: Sequence[str] = (),
        tasks: Sequence[str] | None = None,
        options: RankingOptions = _DEFAULT_OPTIONS,
    ) -> list[Group]:
        """Return the groups of boards, newest first.

        Parameters
        ----------
        metrics
            Metrics to make boards of; those that rank the tasks if empty.
        tasks
            Tasks to show; all if None.
        options
            Choices of the ranking.

        Raises
        ------
        UserError
            If no result has a number of the metrics.
        """
        shown = self._shown(metrics)
        # Boards of metrics that are not shown take as long as the others.
        chosen = metrics or headline_metrics(self._runs, self._declared) or shown
        groups = list(
            grouped(
                self._runs, chosen, self._declared, metrics=chosen, tasks=tasks, options=options
            )
        )
        if not any(group.shown(metrics) for group in groups):
            raise UserError(f"no recorded run has a number for {', '.join(shown)}")
        return groups

    def _shown(self, metrics: Sequence[str]) -> list[str]:
        recorded = [] if self._runs.empty else self.metrics
        return metrics_to_show(recorded, self._headlines, metrics)

    def board(self, metric: str | None = None) -> BoardResult:
        """Return the newest board of a metric.

        Parameters
        ----------
        metric
            Name of the metric; the first headline metric if None.

        Raises
        ------
        UserError
            If no result has a number of the metric.
        """
        _, board = self.newest(metric)
        return BoardResult(board, self._board_table(board))

    def newest(self, metric: str | None = None) -> tuple[Group, Board]:
        """Return the newest board of a metric with its group; see `board`."""
        names = () if metric is None else (metric,)
        for group in self.groups(names):
            for board in group.shown(names):
                return group, board
        raise AssertionError("`groups` returns a group with a board")

    def _board_table(self, board: Board) -> PrintedTable:
        return board_table(board, self._extra(), references(self._registry, board))

    def _extra(self) -> dict[str, dict[str, str]]:
        return extra_columns(self._registry, self._runs)

    def compare(
        self, one: str, other: str, *, task: str | None = None, metrics: Sequence[str] = ()
    ) -> pd.DataFrame:
        """Compare two methods subject by subject, as `harmbench compare` does.

        Parameters
        ----------
        one, other
            Labels of methods, `METHOD@TASK`, or beginnings of ids of runs.
        task
            The task; not needed if the results are of one task.
        metrics
            Metrics to return; all if empty.

        Returns
        -------
        pandas.DataFrame
            One row per metric, with the difference `one - other`, its interval and its p-value;
            the remarks are in `attrs["remarks"]`.

        Raises
        ------
        UserError
            If there are no such runs, or they were measured on other data.
        """
        by_name = measures(self._runs, self._declared)
        self._shown(metrics)
        first, second = (side(self._runs, self._address(text, task)) for text in (one, other))
        differences = compare(first, second, by_name, metrics)
        frame = tidy_differences(differences)
        frame.attrs["remarks"] = list(remarks(differences))
        return frame

    def _address(self, text: str, task: str | None) -> str:
        """Return the address of a method on a task."""
        if "@" in text or text not in {*self._runs["label"]}:
            return text
        tasks = sorted({*self._runs["task"]})
        if task is None and len(tasks) != 1:
            raise UserError(
                f"the results are of {len(tasks)} tasks: give task=, such as {tasks[0]!r}"
            )
        return f"{text}@{task or tasks[0]}"

    def figure(
        self,
        name: str = "intervals",
        *,
        task: str | None = None,
        metric: str | None = None,
        base: str | None = None,
        method: str | None = None,
    ) -> Figure:
        """Draw a figure of the report.

        Parameters
        ----------
        name
            `"intervals"`, `"differences"` (subject by subject, to a base), `"scatter"` (values
            of subjects against those of the base), `"cost-fit"`, `"cost-scan"`, `"cost-memory"`,
            `"cost-parameters"` (a metric against a cost), `"biology"` (remaining scanner effect
            against preserved biology), or `"training"` (training curves of a method).
        task
            The task; if None the first of the board, or all in a figure of costs or training.
        metric
            The metric, or the name of a training curve; the first headline metric or curve if
            None.
        base
            Label of the method that others are compared with; the floor if None.
        method
            Label of the method whose training is shown; not needed if there is only one.

        Returns
        -------
        matplotlib.figure.Figure
            A figure whose `savefig` writes PNG, SVG and PDF.

        Raises
        ------
        UserError
            If there is no such figure, task, metric, base or method, the figure has no such
            choice, or there is no number to draw.
        """
        from harmbench.api.figure import FigureChoice, result_figure

        return result_figure(self, name, FigureChoice(task, metric, base, method))

    def citation(self) -> tuple[str, str]:
        """Describe the newest group of results for a paper, as `harmbench cite` does.

        Returns
        -------
        tuple
            A paragraph in LaTeX, and the BibTeX entries that it cites.

        Raises
        ------
        UserError
            If nothing is recorded.
        """
        group = self.groups()[0]
        sources = [task.name for task in group.tasks]
        return methods_paragraph(
            group,
            methods=declarations(self._registry, "methods"),
            tasks=declarations(self._registry, "tasks", sources),
            metrics=self._declared,
        )

    def tables(self) -> Iterator[PrintedTable]:
        """Yield the ranking and the boards of the headline metrics, group by group."""
        extra = self._extra()
        for group in self.groups():
            if group.standings is not None:
                yield standings_table(group.standings, extra)
            for board in group.shown(()):
                yield self._board_table(board)

    def __len__(self) -> int:
        return len(self._runs)

    def __repr__(self) -> str:
        statuses = {} if self._runs.empty else self._runs["status"].value_counts().to_dict()
        counts = ", ".join(f"{count} {status}" for status, count in statuses.items())
        return f"<Results: {len(self)} cells{': ' if counts else ''}{counts}>"

    def _repr_html_(self) -> str:
        from markupsafe import escape

        parts = [f"<p>{escape(repr(self)[1:-1])}</p>"]
        bad = [] if self._runs.empty else self._runs[self._runs["reason"] != ""].to_dict("records")
        parts += [
            f"<p>{escape(run['label'])} on {escape(run['task'])}: {escape(run['status'])}: "
            f"{escape(run['reason'])}</p>"
            for run in bad
        ]
        try:
            parts += [table.as_html() for table in self.tables()]
        except UserError as error:
            parts.append(f"<p>{escape(str(error))}</p>")
        return "\n".join(parts)


_AXES = (
    *("method", "task", "cohort", "preset", "split", "seed", "fold"),
    *("status", "reason", "metric"),
)


def results(*, home: Path | str | None = None, registry: Registry | None = None) -> Results:
    """Return all recorded results of a home, of imported bundles, and of a shared store.

    Parameters
    ----------
    home
        Home folder; `$HARMBENCH_HOME` or `~/.harmbench` if None.
    registry
        Plugins; those that are installed if None.

    Examples
    --------
    >>> import harmbench
    >>> harmbench.results().board("psnr")  # doctest: +SKIP
    """
    folder = default_home() if home is None else Path(home)
    store = reader.read(folder)
    if registry is None:
        registry = Registry.discover(home=folder)
    return Results(store.runs(), store.headlines, registry, folder)
