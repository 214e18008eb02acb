"""`harmbench leaderboard`: methods by tasks, from what MLflow holds."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harmbench.cli.options import discover, plugin_option
from harmbench.errors import UserError
from harmbench.plugins import matching

if TYPE_CHECKING:
    from rich.table import Table

    from harmbench.leaderboard.table import Board, Score

# Columns that plugins add: texts by method, by heading.
Extra = Mapping[str, Mapping[str, str]]

# Shown without --metric: the paper's two, and the one that tasks without pairs have too.
_DEFAULT_METRICS = ("psnr", "ssim", "wasserstein")
_COLUMN = 16  # characters of a column that holds an interval


@click.command()
@click.option(
    "--metric", "names", multiple=True, metavar="NAME",
    help="Metric to show; may be repeated. Default: psnr, ssim and wasserstein.",
)  # fmt: skip
@click.option(
    "-t", "--task", "tasks", multiple=True, metavar="NAME",
    help="Task to show; may be repeated, and may be a glob.",
)  # fmt: skip
@click.option("--cohort", metavar="NAME", help="Show this cohort alone; may be a glob.")
@click.option(
    "--format", "style", default="table", show_default=True,
    type=click.Choice(["table", "csv", "json", "markdown"]),
)  # fmt: skip
@plugin_option
def leaderboard(
    names: tuple[str, ...],
    tasks: tuple[str, ...],
    cohort: str | None,
    style: str,
    plugin: tuple[Path, ...],
) -> None:
    """Compare methods on tasks, from the runs that MLflow holds.

    Values are means over people, with the 95 % bootstrap interval over people. Controls
    are marked: `identity` is the floor, `oracle` the ceiling. Cohorts and presets never
    share a table, and a method without a result has a blank, with its reason below.
    """
    registry = discover(plugin)
    import pandas as pd

    from harmbench import tracking
    from harmbench.leaderboard.table import boards, directions, tidy

    runs = tracking.runs()
    if runs.empty:
        raise UserError(
            "nothing is recorded yet; try `harmbench run -m identity -m histogram -t domain3`"
        )
    known = directions(runs)
    chosen = names or tuple(name for name in _DEFAULT_METRICS if name in known)
    for name in chosen:
        if name not in known:
            raise UserError.unknown("recorded metric", name, known)
    if cohort is not None:
        cohorts = matching("recorded cohort", [cohort], runs["cohort"].unique())
        runs = runs[runs["cohort"].isin(cohorts)]
    wanted = matching("recorded task", tasks, sorted(runs["task"].unique())) if tasks else None
    found = list(boards(runs, {name: known[name] for name in chosen}, tasks=wanted))
    extra: dict[str, dict[str, str]] = {}
    for plugin_found, columns in registry.call("leaderboard_columns", runs=runs):
        try:
            extra |= {
                str(heading): {str(label): str(text) for label, text in texts.items()}
                for heading, texts in columns.items()
            }
        except AttributeError:
            registry.on_error(
                f"plugin '{plugin_found.name}': leaderboard_columns must return "
                '{"heading": {"method": "text"}}'
            )
    if not found:
        raise UserError(f"no recorded run has a number for {', '.join(chosen)}")
    if style in ("csv", "json"):
        table = pd.concat([tidy(board) for board in found], ignore_index=True)
        if style == "csv":
            click.echo(table.to_csv(index=False).rstrip("\n"))
        else:
            # JSON knows no infinity, and pandas would write it as if it were missing.
            rows = table.astype(object).replace({math.inf: "inf", -math.inf: "-inf"})
            click.echo(rows.to_json(orient="records", indent=1))
    elif style == "markdown":
        click.echo("\n\n".join(_markdown(board, extra) for board in found))
    else:
        from rich.console import Console

        console = Console()
        for board in found:
            console.print(_title(board), markup=False, highlight=False, style="bold")
            console.print(_table(board, extra, console.width))
            for line in _notes(board):
                console.print(line, markup=False, highlight=False)


def _title(board: Board) -> str:
    kind = "PHANTOM, not real scans" if board.kind == "phantom" else "real scans"
    direction = "higher is better" if board.higher_is_better else "lower is better"
    return (
        f"{board.metric} ({direction}) on cohort {board.cohort} "
        f"[{kind}], {board.preset} preset, {board.cohort_key[:8]}"
    )


def _cells(board: Board, extra: Extra) -> list[list[str]]:
    rows = []
    for label, scores in board.rows:
        name = f"{label} *" if label in board.controls else label
        texts = [_text(scores.get(task)) for task in board.tasks]
        if len(board.tasks) > 1:
            mean = board.mean(scores)
            texts.append("" if math.isnan(mean) else _number(mean))
        texts += [column.get(label, "") for column in extra.values()]
        rows.append([name, *texts])
    return rows


def _headings(board: Board, extra: Extra) -> list[str]:
    return ["method", *board.tasks, *(["mean"] if len(board.tasks) > 1 else []), *extra]


def _text(score: Score | None) -> str:
    if score is None or not score.known:
        return "" if score is None or score.status == "done" else score.status
    text = _number(score.value)
    if math.isfinite(score.low) and math.isfinite(score.high):
        text += f" [{_number(score.low)}, {_number(score.high)}]"
    return text if score.seeds == 1 else f"{text} ×{score.seeds}"


def _number(value: float) -> str:
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    return f"{value:.2f}" if abs(value) >= 10 else f"{value:.4f}"


def _notes(board: Board) -> list[str]:
    lines = ["* control: bounds the scale, is no competitor"] if board.controls else []
    for label, scores in board.rows:
        reasons: dict[tuple[str, str], list[str]] = {}
        for task, score in scores.items():
            if not score.known and score.status != "done":
                reasons.setdefault((score.status, score.reason), []).append(task)
        lines += [
            f"{label} on {', '.join(tasks)}: {status}: {reason}"
            for (status, reason), tasks in reasons.items()
        ]
    return lines


def _table(board: Board, extra: Extra, width: int) -> Table:
    """Lay the board out, with tasks down the side where they do not fit across."""
    from rich import box
    from rich.table import Table

    lines = [_headings(board, extra), *_cells(board, extra)]
    if max(map(len, lines)) * _COLUMN > width:
        lines = [list(column) for column in zip(*lines, strict=True)]
    table = Table(box=box.SIMPLE_HEAD)
    for place, heading in enumerate(lines[0]):
        table.add_column(heading, justify="right" if place else "left", no_wrap=True)
    for row in lines[1:]:
        table.add_row(*(cell.replace(" [", "\n[") for cell in row))
    return table


def _markdown(board: Board, extra: Extra) -> str:
    headings = _headings(board, extra)
    lines = [
        f"**{_title(board)}**",
        "",
        f"| {' | '.join(headings)} |",
        f"|{'|'.join(['---', *['---:'] * (len(headings) - 1)])}|",
        *(
            f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |"
            for row in _cells(board, extra)
        ),
    ]
    notes = [line.replace("* control", "\\* control") for line in _notes(board)]
    return "\n".join([*lines, *(["", *notes] if notes else [])])
