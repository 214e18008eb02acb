"""Ablation tables as text: title, columns and notes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from harmbench.contracts.published import Published
from harmbench.data.scan_kind import kind_of_scans
from harmbench.execution.plan.plan import Plan
from harmbench.execution.plan.request import Request
from harmbench.leaderboard.ablation import AblationScore, AblationTable
from harmbench.leaderboard.formatting import direction, interval, number

# Characters of the title's column, of our numbers and of the paper's, with the space between:
# three tasks with the paper's numbers, as in BlindHarmony's Table 3, fit into 100.
_TITLE, _OURS, _PAPERS = 12, 20, 9


@dataclass(frozen=True, kw_only=True)
class Column:
    """A column of the table.

    Attributes
    ----------
    heading
        One or two lines.
    texts
        A text for every row, of up to three lines.
    published
        Whether the numbers are the paper's.
    """

    heading: str
    texts: tuple[str, ...]
    published: bool


def title(table: AblationTable, plan: Plan, request: Request) -> str:
    """Return the metric, the method, the cohort, the split and the seeds in one line."""
    metric, cohort = table.metric, plan.cohort
    unit = f" in {metric.unit}" if metric.unit else ""
    scored = request.split_title if request.folds else f"{request.split} split"
    better = direction(higher_is_better=metric.higher_is_better)
    return (
        f"{metric.name}{unit} ({better}) of {request.methods[0]} on cohort {cohort.name} "
        f"[{kind_of_scans(cohort.kind)}], {cohort.grid.name} preset, {scored}, "
        f"seed {', '.join(map(str, request.seeds))}, {cohort.key[:8]}"
    )


def row_titles(table: AblationTable) -> list[str]:
    """Return the first column; controls are marked."""
    return [f"{row} *" if row in table.controls else row for row in table.rows]


def task_blocks(
    table: AblationTable, published: Published | None, width: int
) -> Iterator[tuple[str, ...]]:
    """Yield as many tasks at a time as fit into `width` characters."""
    block: list[str] = []
    used = _TITLE
    for task in table.tasks:
        papers = _PAPERS if _is_published(published, table.metric.name, task) else 0
        needed = max(_OURS, len(task) + 2) + papers
        if block and used + needed > width:
            yield tuple(block)
            block, used = [], _TITLE
        block.append(task)
        used += needed
    yield tuple(block)


def columns(
    table: AblationTable, tasks: Sequence[str], published: Published | None
) -> Iterator[Column]:
    """Yield the columns of some tasks: our numbers, and the paper's where it has any."""
    metric = table.metric
    decimals = 2 if metric.unit == "dB" else 4
    printed_decimals = _printed_decimals(published, metric.name)
    printed = [task for task in tasks if _is_published(published, metric.name, task)]
    for task in tasks:
        scores = [row.get(task) for row in table.rows.values()]
        ours = tuple(_our_text(score, decimals) for score in scores)
        yield Column(heading=f"{task}\nours" if printed else task, texts=ours, published=False)
        if task in printed:
            papers = tuple(_published_text(score, printed_decimals) for score in scores)
            yield Column(heading="\npaper's", texts=papers, published=True)


def has_numbers(table: AblationTable) -> bool:
    """Return whether any score has a number."""
    return any(score.value for row in table.rows.values() for score in row.values())


def notes(
    tables: Sequence[AblationTable], published: Published | None, plan: Plan
) -> Iterator[str]:
    """Yield the notes below the tables, one a line."""
    subjects = {
        score.value.n
        for table in tables
        for row in table.rows.values()
        for score in row.values()
        if score.value is not None
    }
    if subjects:
        few, many = min(subjects), max(subjects)
        yield (
            "Below each value: its difference to the baseline, subject by subject, with the 95 % "
            f"interval over {few if few == many else f'{few} to {many}'} subjects (for the "
            "baseline: the interval of the value)."
        )
    if any(table.controls for table in tables):
        yield "* control: the floor, for scale."
    if published is not None:
        scans = "this phantom" if plan.cohort.kind == "phantom" else "these scans"
        yield (
            f"paper's: {published.source}, on {published.data}: other data than {scans}, at the "
            "paper's full size. Compare differences, not values."
        )
    reasons: dict[tuple[str, str, str], list[str]] = {}
    for name, row in tables[0].rows.items() if tables else ():
        for task, score in row.items():
            if score.reason:
                reasons.setdefault((name, score.status, score.reason), []).append(task)
    for (name, status, reason), tasks in reasons.items():
        yield f"{name} on {', '.join(tasks)}: {status}: {reason}"


def _is_published(published: Published | None, metric: str, task: str) -> bool:
    if published is None:
        return False
    return any(task in row for row in published.values.get(metric, {}).values())


def _our_text(score: AblationScore | None, decimals: int) -> str:
    """Return the value and, below, the difference to the baseline with its interval."""
    if score is None:
        return ""
    if score.value is None or math.isnan(score.value.mean):
        return "" if score.status == "done" else score.status
    lines = [number(score.value.mean, decimals)]
    if score.difference is None:
        lines.append(_finite_interval(score.value.low, score.value.high, decimals))
    elif not math.isnan(score.difference.mean):
        low, high = score.difference.low, score.difference.high
        lines.append(number(score.difference.mean, decimals, signed=True))
        lines.append(_finite_interval(low, high, decimals, signed=True))
    return "\n".join(line for line in lines if line)


def _finite_interval(low: float, high: float, decimals: int, *, signed: bool = False) -> str:
    if not (math.isfinite(low) and math.isfinite(high)):
        return ""
    return interval(low, high, decimals, signed=signed)


def _printed_decimals(published: Published | None, metric: str) -> int:
    """Return the decimals of the paper's numbers."""
    rows = () if published is None else published.values.get(metric, {}).values()
    texts = [f"{value:g}" for row in rows for value in row.values()]
    return max((len(text.partition(".")[2]) for text in texts), default=0)


def _published_text(score: AblationScore | None, decimals: int) -> str:
    if score is None:
        return ""
    lines = [] if score.published is None else [number(score.published, decimals)]
    if score.published_difference is not None:
        lines.append(number(score.published_difference, decimals, signed=True))
    return "\n".join(lines)
