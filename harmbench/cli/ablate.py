"""`harmbench ablate`: what each part of a method is worth, beside what its paper says."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harmbench.cli.options import (
    cohort_option,
    complete,
    device_option,
    discover,
    dry_run_option,
    normalize_option,
    plugin_option,
    preparing_options,
    preset_option,
    recipe_option,
    seeds_option,
    set_option,
    task_option,
)
from harmbench.data.scan_kind import kind_of_scans
from harmbench.errors import UserError
from harmbench.plugins import Registry

if TYPE_CHECKING:
    from rich.table import Table

    from harmbench.contracts.published import Published
    from harmbench.data.prepare_options import PrepareOptions
    from harmbench.execution.plan.plan import Plan
    from harmbench.leaderboard.ablation import AblationTable, Field
    from harmbench.statistics.estimate import Estimate

_DEFAULT_METRICS = ("psnr", "ssim")
# Characters of the title's column, of ours and of the paper's, with the space between:
# three tasks with the paper's numbers, as in BlindHarmony's Table 3, fit into 100.
_TITLE, _OURS, _PAPERS = 12, 20, 9


@click.command()
@click.argument("method", shell_complete=complete("methods"))
@task_option
@cohort_option
@recipe_option
@normalize_option
@preparing_options
@preset_option
@seeds_option
@device_option
@set_option
@click.option(
    "--metric", "names", multiple=True, metavar="NAME", shell_complete=complete("metrics"),
    help="Metric to show; may be repeated. Default: those of the paper's table.",
)  # fmt: skip
@click.option(
    "--format", "style", default="table", show_default=True, type=click.Choice(["table", "csv"]),
)  # fmt: skip
@dry_run_option
@plugin_option
def ablate(
    method: str,
    tasks: tuple[str, ...],
    cohort: str,
    recipe: Path | None,
    normalize: str,
    prepare_options: PrepareOptions,
    preset: str,
    seeds: tuple[int, ...],
    device: str,
    assignments: tuple[str, ...],
    names: tuple[str, ...],
    style: str,
    dry_run: bool,
    plugin: tuple[Path, ...],
) -> int:
    """Run METHOD as it is and with each of its ablations, and show what they cost.

    \b
    harmbench ablate blindharmony                          the tasks of the paper's table
    harmbench ablate blindharmony --task 'sim-*'           all simulated shifts
    harmbench ablate blindharmony --set blindharmony.centred=true
    harmbench ablate blindharmony --dry-run                what would be run

    A method's class names its ablations, and may hold the table that its paper printed,
    which is then shown beside ours. Under each value stands its difference to the
    baseline, subject by subject, with the 95 % bootstrap interval over subjects. Controls of
    the floor come last, for scale. Ablations that act at inference alone share one fit,
    with `harmbench run` too; all cells are recorded in MLflow. Exit code as of `run`.
    """  # noqa: D301
    registry = discover(plugin)
    entry = registry.entry("methods", method)

    import pandas as pd
    from rich.console import Console

    from harmbench.cli.run_cells import compute, print_forecast, summary_line
    from harmbench.execution.plan.request import Request
    from harmbench.execution.plan.selection import select
    from harmbench.execution.schedule.run_options import RunOptions
    from harmbench.leaderboard.ablation import tables, tidy
    from harmbench.util.home import writable_home

    kind = entry.load()
    if not kind.ablations:
        raise UserError(f"method '{method}' names no ablations; {_others(registry)}")
    published: Published | None = kind.published
    tasks = tasks or (() if published is None else published.tasks)
    if not tasks:
        raise UserError(f"say what to run '{method}' on: --task is missing (see `harmbench list`)")
    metrics = registry.entries("metrics")
    names = names or (_DEFAULT_METRICS if published is None else tuple(published.values))
    for name in names:
        if name not in metrics:
            raise UserError.unknown("metric", name, metrics)
    home = writable_home()
    methods = (method, *(name for name in _floors(registry) if name != method))
    request = Request(
        methods, tasks, cohort, recipe, preset, seeds, assignments, ablations=True,
        normalize=normalize, prepare_options=prepare_options,
    )  # fmt: skip
    order = RunOptions(request, tuple(path.resolve() for path in plugin), device)
    selection = select(registry, request)
    if dry_run:
        print_forecast(registry, selection, home, order)
        return 0
    outcome = compute(registry, selection, home, order)
    click.echo(summary_line(outcome), err=True)
    measures = {metric.name: metric for metric in outcome.plan.metrics}
    found = list(tables(outcome.results, [measures[name] for name in names], published))
    if style == "csv":
        facts = {"cohort": outcome.plan.cohort.name, "cohort_key": outcome.plan.cohort.key,
                 "kind": outcome.plan.cohort.kind, "preset": preset,
                 "seeds": " ".join(map(str, seeds)),
                 "published_source": "" if published is None else published.source}  # fmt: skip
        whole = pd.concat([tidy(table) for table in found], ignore_index=True)
        click.echo(whole.assign(**facts).to_csv(index=False).rstrip("\n"))
        return int(outcome.failed)
    console = Console(highlight=False, markup=False)
    for table in found:
        if not any(field.value for row in table.rows.values() for field in row.values()):
            console.print(f"{table.metric.name}: no cell has a number", style="bold")
            continue
        console.print(_title(table, method, outcome.plan, seeds), style="bold")
        for block in _blocks(table, published, console.width):
            console.print(_laid_out(table, block, published))
            console.print()
    for line in _notes(found, published, outcome.plan):
        console.print(line)
    return int(outcome.failed)


def _floors(registry: Registry) -> Iterator[str]:
    """Yield the names of the controls that bound the scale from below."""
    for name, entry in registry.entries("methods").items():
        if entry.lazy.attributes().get("control") == "floor":
            yield name


def _others(registry: Registry) -> str:
    """Say which methods name ablations."""
    having = []
    for name, entry in registry.entries("methods").items():
        try:
            if entry.load().ablations:
                having.append(name)
        except UserError:
            continue
    return f"methods that do: {', '.join(having)}" if having else "no method does"


def _title(table: AblationTable, method: str, plan: Plan, seeds: Sequence[int]) -> str:
    metric, cohort = table.metric, plan.cohort
    direction = "higher is better" if metric.higher_is_better else "lower is better"
    unit = f" in {metric.unit}" if metric.unit else ""
    named = ", ".join(map(str, seeds))
    return (
        f"{metric.name}{unit} ({direction}) of {method} on cohort {cohort.name} "
        f"[{kind_of_scans(cohort.kind)}], {cohort.grid.name} preset, seed {named}, {cohort.key[:8]}"
    )


def _has_column(published: Published | None, metric: str, task: str) -> bool:
    if published is None:
        return False
    return any(task in row for row in published.values.get(metric, {}).values())


def _blocks(
    table: AblationTable, published: Published | None, width: int
) -> Iterator[tuple[str, ...]]:
    """Yield as many tasks at a time as fit across."""
    block: list[str] = []
    used = _TITLE
    for task in table.tasks:
        papers = _PAPERS if _has_column(published, table.metric.name, task) else 0
        own = max(_OURS, len(task) + 2) + papers
        if block and used + own > width:
            yield tuple(block)
            block, used = [], _TITLE
        block.append(task)
        used += own
    yield tuple(block)


def _laid_out(table: AblationTable, tasks: Sequence[str], published: Published | None) -> Table:
    from rich import box
    from rich.table import Table

    grid = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 0, 0, 1))
    grid.add_column(table.metric.name, no_wrap=True)
    decimals = 2 if table.metric.unit == "dB" else 4
    columns: list[tuple[str, Any]] = []
    precision = _precision(published, table.metric.name)
    printed = [task for task in tasks if _has_column(published, table.metric.name, task)]
    for task in tasks:
        papers = task in printed
        grid.add_column(f"{task}\nours" if printed else task, justify="right", no_wrap=True)
        columns.append((task, lambda field: _ours(field, decimals)))
        if papers:
            grid.add_column("\npaper's", justify="right", no_wrap=True, style="dim")
            columns.append((task, lambda field: _papers(field, precision)))
    for title, row in table.rows.items():
        texts = [text(row[task]) if task in row else "" for task, text in columns]
        grid.add_row(f"{title} *" if title in table.controls else title, *texts)
    return grid


def _ours(field: Field, decimals: int) -> str:
    """Write the value and, below, the difference to the baseline with its interval."""
    if field.value is None or math.isnan(field.value.mean):
        return "" if field.status == "done" else field.status
    lines = [_number(field.value.mean, decimals)]
    if field.difference is None:
        lines.append(_interval(field.value, decimals, sign=""))
    elif not math.isnan(field.difference.mean):
        lines.append(_number(field.difference.mean, decimals, sign="+"))
        lines.append(_interval(field.difference, decimals, sign="+"))
    return "\n".join(line for line in lines if line)


def _precision(published: Published | None, metric: str) -> int:
    """Return the decimals that the paper printed."""
    rows = () if published is None else published.values.get(metric, {}).values()
    texts = [f"{value:g}" for row in rows for value in row.values()]
    return max((len(text.partition(".")[2]) for text in texts), default=0)


def _papers(field: Field, decimals: int) -> str:
    lines = [] if field.published is None else [_number(field.published, decimals)]
    if field.published_difference is not None:
        lines.append(_number(field.published_difference, decimals, sign="+"))
    return "\n".join(lines)


def _number(value: float, decimals: int, sign: str = "") -> str:
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    return f"{value:{sign}.{decimals}f}"


def _interval(estimate: Estimate, decimals: int, sign: str) -> str:
    if not (math.isfinite(estimate.low) and math.isfinite(estimate.high)):
        return ""
    low, high = (_number(value, decimals, sign) for value in (estimate.low, estimate.high))
    return f"[{low}, {high}]"


def _notes(
    found: Sequence[AblationTable], published: Published | None, plan: Plan
) -> Iterator[str]:
    subjects = {
        field.value.n
        for table in found
        for row in table.rows.values()
        for field in row.values()
        if field.value is not None
    }
    if subjects:
        few, many = min(subjects), max(subjects)
        count = f"{few} people" if few == many else f"{few} to {many} subjects"
        yield (
            "Below each value: its difference to the baseline, subject by subject, with the 95 % "
            f"interval over {count} (of the baseline: the interval of the value)."
        )
    if any(table.controls for table in found):
        yield "* control: the floor, for scale."
    if published is not None:
        what = "this phantom" if plan.cohort.kind == "phantom" else "these scans"
        yield (
            f"paper's: {published.source}, on {published.data}: other data than {what}, at the "
            "paper's full size. Compare differences, not values."
        )
    reasons: dict[tuple[str, str, str], list[str]] = {}
    for title, row in found[0].rows.items() if found else ():
        for task, field in row.items():
            if field.reason:
                reasons.setdefault((title, field.status, field.reason), []).append(task)
    for (title, status, reason), tasks in reasons.items():
        yield f"{title} on {', '.join(tasks)}: {status}: {reason}"
