"""`harmbench leaderboard`: methods by tasks, from what MLflow holds."""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harmbench.cli.options import discover, plugin_option
from harmbench.errors import UserError
from harmbench.plugins import Registry, matching

if TYPE_CHECKING:
    import pandas as pd

    from harmbench.leaderboard.published import Reference
    from harmbench.leaderboard.table import Board, Row, Score
    from harmbench.statistics.estimate import Estimate
    from harmbench.tracking.reader import Recorded

# Columns that plugins add: texts by method, by heading.
Extra = Mapping[str, Mapping[str, str]]

_GAP = 2  # characters between columns
PUBLISHED = "PUBLISHED, another data set, for orientation only"


@click.command()
@click.option(
    "--metric", "names", multiple=True, metavar="NAME",
    help="Metric to show; may be repeated. Default: those that tell most of the tasks.",
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

    Values are means over subjects, with the 95 % bootstrap interval over subjects. Methods that
    Wilcoxon's signed-rank test cannot tell from the best share its tier, (1). The rank is the
    mean over tasks, and the score is 0 for the floor and 1 for the ceiling; a task that a
    method has no number for counts as the last rank and as 0. Controls are marked. Cohorts,
    presets, normalisations and test data never share a table, and what is missing is blank,
    with its reason below.
    """
    registry = discover(plugin)
    import pandas as pd

    from harmbench.leaderboard.table import boards, measures, tidy
    from harmbench.tracking import reader as recorded

    store = recorded.read()
    chosen = _chosen(store, names)
    # What plugins add columns from is the whole table; without them it is read in part.
    wanted = None if registry.manager.hook.leaderboard_columns.get_hookimpls() else chosen
    runs = store.runs(wanted)
    extra = extra_columns(registry, runs)
    runs = on_cohort(runs, cohort)
    asked = matching("recorded task", tasks, sorted(runs["task"].unique())) if tasks else None
    known = measures(runs, units(registry))
    found = list(boards(runs, [known[name] for name in chosen], tasks=asked))
    if not found:
        raise UserError(f"no recorded run has a number for {', '.join(chosen)}")
    if style in ("csv", "json"):
        table = pd.concat([tidy(board) for board in found], ignore_index=True)
        click.echo(_as_text(table, style))
        return
    from harmbench.leaderboard.published import references

    printed = [references(registry, board) for board in found]
    if style == "markdown":
        blocks = zip(found, printed, strict=True)
        click.echo("\n\n".join(_markdown(board, extra, papers) for board, papers in blocks))
        return
    width = shutil.get_terminal_size().columns
    for board, papers in zip(found, printed, strict=True):
        _print(board, extra, papers, width)


def _chosen(store: Recorded, names: Sequence[str]) -> list[str]:
    """Return the metrics to show: those asked for, or the headlines of all tasks."""
    if not store.metrics:
        raise UserError(
            "nothing is recorded yet; try `harmbench run -m identity -m histogram -t domain3`"
        )
    for name in names:
        if name not in store.metrics:
            raise UserError.unknown("recorded metric", name, store.metrics)
    told = [name for name in store.headlines if name in store.metrics]
    return list(names) or told or list(store.metrics)


def on_cohort(runs: pd.DataFrame, name: str | None) -> pd.DataFrame:
    """Return the runs on the cohorts of a name or glob; all of them if it is None."""
    if name is None:
        return runs
    return runs[runs["cohort"].isin(matching("recorded cohort", [name], runs["cohort"].unique()))]


def units(registry: Registry) -> dict[str, str]:
    """Return the units of the metrics that are registered here, by name."""
    return {
        name: entry.lazy.attributes().get("unit", "")
        for name, entry in registry.entries("metrics").items()
    }


def extra_columns(registry: Registry, runs: pd.DataFrame) -> dict[str, dict[str, str]]:
    """Return the columns that plugins add."""
    extra: dict[str, dict[str, str]] = {}
    for plugin, columns in registry.call("leaderboard_columns", runs=runs):
        try:
            extra |= {
                str(heading): {str(label): str(text) for label, text in texts.items()}
                for heading, texts in columns.items()
            }
        except AttributeError:
            registry.report(
                f"plugin '{plugin.name}': leaderboard_columns must return "
                '{"heading": {"method": "text"}}'
            )
    return extra


def _as_text(table: pd.DataFrame, style: str) -> str:
    if style == "csv":
        return str(table.to_csv(index=False)).rstrip("\n")
    # JSON knows no infinity, and pandas would write it as if it were missing.
    rows = table.astype(object).replace({math.inf: "inf", -math.inf: "-inf"})
    return str(rows.to_json(orient="records", indent=1))


def _headings(board: Board, extra: Extra) -> list[str]:
    return ["method", *board.tasks, *_overall(board), *extra]


def _overall(board: Board) -> list[str]:
    """Return the columns that tell of all tasks together; of one task what it does not tell."""
    if len(board.tasks) > 1:
        return ["rank", "score", "tasks"]
    return ["score"] if any(row.normalized for row in board.methods) else []


def _cells(board: Board, extra: Extra) -> list[list[str]]:
    rows = [_row(board, row, extra) for row in board.rows]
    ceilings = sum(row.control == "ceiling" for row in board.rows)
    for title, estimates in board.bounds.items():
        texts = [_estimate(estimates.get(task)) for task in board.tasks]
        bound = [f"{title} °", *texts]
        rows.insert(ceilings, bound + [""] * (len(_headings(board, extra)) - len(bound)))
    return rows


def _row(board: Board, row: Row, extra: Extra) -> list[str]:
    told = {
        "rank": _estimate(row.rank, 1),
        "score": "—" if row.normalized is None else _estimate(row.normalized, 2),
        "tasks": f"{row.known}/{len(board.tasks)}",
    }
    overall = ["" if row.control else told[heading] for heading in _overall(board)]
    return [
        f"{row.label} *" if row.control else row.label,
        *(_text(row.scores.get(task)) for task in board.tasks),
        *overall,
        *(column.get(row.label, "") for column in extra.values()),
    ]


def _text(score: Score | None) -> str:
    if score is None or not score.known:
        return "" if score is None or score.status == "done" else score.status
    text = number(score.value)
    if score.tier is not None:
        text += f" ({score.tier})"
    text += _interval(score.low, score.high, None)
    if len(score.seeds) > 1:
        text += f" ×{len(score.seeds)}"
        text += "" if math.isnan(score.spread) else f" ±{number(score.spread)}"
    return text


def _estimate(estimate: Estimate | None, decimals: int | None = None) -> str:
    if estimate is None or math.isnan(estimate.mean):
        return ""
    return number(estimate.mean, decimals) + _interval(estimate.low, estimate.high, decimals)


def _interval(low: float, high: float, decimals: int | None) -> str:
    if math.isnan(low) or math.isnan(high) or (math.isinf(low) and math.isinf(high)):
        return ""
    return f" [{number(low, decimals)}, {number(high, decimals)}]"


def number(value: float, decimals: int | None = None) -> str:
    """Write a number with its decimals: by default two from 10 on, and four below.

    Examples
    --------
    >>> number(27.416), number(0.98765), number(float("inf")), number(1.26, 1)
    ('27.42', '0.9877', '∞', '1.3')
    """
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    if decimals is None:
        decimals = 2 if abs(value) >= 10 else 4
    return f"{value:.{decimals}f}"


def _print(board: Board, extra: Extra, papers: Sequence[Reference], width: int) -> None:
    from harmbench.leaderboard.notes import notes

    click.secho(board.title, bold=True)
    for line in _lines(board, extra, width):
        click.echo(line)
    below = _published(board, papers)
    for line in [*below, "", *notes(board), ""] if below else [*notes(board), ""]:
        click.secho(line, dim=True)


def _lines(board: Board, extra: Extra, width: int) -> Iterator[str]:
    """Lay the board out in as many columns at a time as fit across; the best tier stands out."""
    best = {
        (row.label, task)
        for row in board.methods
        for task, score in row.scores.items()
        if score.tier == 1
    }
    headings, rows = _headings(board, extra), _cells(board, extra)
    rows = [[text.replace(" [", "\n[") for text in row] for row in rows]
    for block in _blocks([headings, *rows], width):
        yield "".join(_aligned(headings[place], place, wide) for place, wide in block).rstrip()
        yield "─" * (sum(wide for _, wide in block) - _GAP)
        for row in rows:
            for line in zip_longest(*(row[place].split("\n") for place, _ in block), fillvalue=""):
                parts = [
                    _styled(
                        _aligned(text, place, wide),
                        best=(row[0], headings[place]) in best,
                        control=row[0][-1] in "*°",
                    )
                    for text, (place, wide) in zip(line, block, strict=True)
                ]
                yield "".join(parts).rstrip()
        yield ""


def _aligned(text: str, place: int, wide: int) -> str:
    """Pad a text to its column: names to the left, numbers to the right."""
    gap = " " * _GAP
    return text.ljust(wide) if place == 0 else text.rjust(wide - _GAP) + gap


def _styled(text: str, *, best: bool, control: bool) -> str:
    if best:
        return click.style(text, fg="green", bold=True)
    return click.style(text, dim=True) if control else text


def _blocks(lines: Sequence[Sequence[str]], width: int) -> Iterator[list[tuple[int, int]]]:
    """Yield the columns of each table with their widths, the first of all in every one."""
    widths = [
        max(len(part) for text in column for part in text.split("\n")) + _GAP
        for column in zip(*lines, strict=True)
    ]
    block = [(0, widths[0])]
    for place, wide in enumerate(widths[1:], start=1):
        if len(block) > 1 and sum(each for _, each in block) + wide - _GAP > width:
            yield block
            block = [(0, widths[0])]
        block.append((place, wide))
    yield block


def _published(board: Board, papers: Sequence[Reference]) -> list[str]:
    """Write what papers printed, a line each, marked as what it is."""
    if not papers:
        return []
    lines = [f"{PUBLISHED}:"]
    for paper in papers:
        values = ", ".join(f"{task} {value:g}" for task, value in paper.values.items())
        lines.append(f"  {paper.label}: {board.metric} {values} ({paper.source}; {paper.data})")
    return lines


def _markdown(board: Board, extra: Extra, papers: Sequence[Reference]) -> str:
    from harmbench.leaderboard.notes import notes

    headings = _headings(board, extra)
    tiers = {
        (row.label, task): score.tier for row in board.rows for task, score in row.scores.items()
    }
    lines = [
        f"**{board.title}**",
        "",
        f"| {' | '.join(headings)} |",
        f"|{'|'.join(['---', *['---:'] * (len(headings) - 1)])}|",
    ]
    for texts in _cells(board, extra):
        marked = [
            f"**{text}**" if tiers.get((texts[0], heading)) == 1 else text
            for text, heading in zip(texts, headings, strict=True)
        ]
        lines.append(f"| {' | '.join(text.replace('|', chr(92) + '|') for text in marked)} |")
    below = [*_published(board, papers), *notes(board)]
    lines += ["", *(f"- {line.strip().replace('*', chr(92) + '*')}" for line in below)]
    return "\n".join(lines)
