"""`harmbench run`: run methods on tasks, and record the results."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from harmbench.cli.executor_options import ExecutorChoice, executor_options
from harmbench.cli.fit_options import (
    fit_cohort_option,
    fit_recipe_option,
    fit_request,
    target_option,
)
from harmbench.cli.options import (
    cohort_options,
    collected,
    discover,
    dry_run_option,
    folds_option,
    method_option,
    plugin_option,
    preset_option,
    seeds_option,
    set_option,
    split_option,
    task_option,
)
from harmbench.errors import UserError

if TYPE_CHECKING:
    from harmbench.data.cohort_request import CohortRequest


@dataclass(frozen=True, kw_only=True)
class CellsChoice:
    """The options that select cells: methods, tasks, targets, preset, split or folds, and so on."""

    methods: tuple[str, ...]
    tasks: tuple[str, ...]
    targets: tuple[str, ...]
    fit_cohort: str | None
    fit_recipe: Path | None
    everything: bool
    preset: str
    split: str
    folds: int | None
    seeds: tuple[int, ...]
    assignments: tuple[str, ...]

    def fit_request(self, cohort: CohortRequest) -> CohortRequest | None:
        """Return the request of the fit cohort; None without one."""
        return fit_request(cohort, self.fit_cohort, self.fit_recipe)

    def n_folds(self) -> int:
        """Return the number of folds, or 0; a fit cohort overrides the folds of a suite."""
        of_suite = click.get_current_context().get_parameter_source("folds")
        if self.fit_cohort and of_suite is ParameterSource.DEFAULT_MAP:
            return 0
        return self.folds or 0

    def patterns(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Return patterns of methods and tasks.

        Raises
        ------
        UserError
            If one is missing.
        """
        default = ("*",) if self.everything else ()
        methods, tasks = self.methods or default, self.tasks or default
        if not methods or not tasks:
            raise UserError(
                f"missing --{'task' if methods else 'method'} (or use --all or --suite; see "
                "`harmbench list`)"
            )
        return methods, tasks


def _read_suite(context: click.Context, _: click.Parameter, suite: str | None) -> None:
    """Make the suite's values the defaults of the other options."""
    if suite is None or context.resilient_parsing:
        return
    from harmbench.execution.plan.suite import read_suite

    values: dict[str, Any] = {
        "assignments" if key == "set" else key: value for key, value in read_suite(suite).items()
    }
    context.default_map = values


_cells_options = collected(
    "choice",
    CellsChoice,
    method_option,
    task_option,
    target_option,
    fit_cohort_option,
    fit_recipe_option,
    click.option("--all", "everything", is_flag=True, help="All methods on all tasks."),
    preset_option,
    split_option("test"),
    folds_option,
    seeds_option,
    set_option,
)


@click.command()
@_cells_options
@click.option(
    "--suite",
    metavar="NAME|FILE",
    is_eager=True,
    expose_value=False,
    callback=_read_suite,
    help="Built-in suite (quick, paper, travellers or reviewers) or TOML file that lists what to "
    "run. Command-line options override the suite.",
)
@cohort_options
@executor_options
@dry_run_option
@plugin_option
def run(
    choice: CellsChoice,
    cohort: CohortRequest,
    executor: ExecutorChoice,
    dry_run: bool,
    plugin: tuple[Path, ...],
) -> int:
    """Run every METHOD on every TASK, and record the results.

    \b
    harmbench run --method blindharmony --task domain3
    harmbench run -m identity -m histogram -t 'sim-*' --seed 0 --seed 1
    harmbench run --all --dry-run
    harmbench run -m 'blind*' -t 'sim-*' --folds 5
    harmbench run --suite paper --cohort oasis3:/data/OASIS3 --executor slurm --partition gpu
    harmbench run -m '*' -t 'site-*' --cohort bids:/data/study --recipe study.toml
    harmbench run --suite travellers --cohort on-harmony:/data/ds004712
    harmbench run -m histogram -t 'travel-*' --cohort simon:/data/simon --fit-cohort oasis3:/data/o3
    harmbench run -m blindharmony -t sim-exp --set blindharmony.alpha=0

    A cell is one method on one task with one seed (and, with --folds, in one fold). Cells that
    share a fit share its cost. Results computed before are taken from the store. After an
    interruption, run the same command again, or `harmbench resume`. Each cell writes a log to
    $HARMBENCH_HOME/runs.

    Exit code 0 if all cells are done, cached or skipped, 1 if a cell failed or diverged, 2 for
    a usage error.
    """  # noqa: D301
    methods, tasks = choice.patterns()
    if not cohort.name:
        raise UserError("the suite names no cohort: add --cohort, such as on-harmony:PATH")
    registry = discover(plugin)

    from harmbench.cli.run_cells import compute, print_forecast, summary_line
    from harmbench.execution.plan.request import Request
    from harmbench.execution.plan.selection import select
    from harmbench.util.home import writable_home

    home = writable_home()
    request = Request(
        methods=methods,
        tasks=tasks,
        targets=choice.targets,
        cohort=cohort,
        fit_cohort=choice.fit_request(cohort),
        preset=choice.preset,
        split=choice.split,
        folds=choice.n_folds(),
        seeds=choice.seeds,
        assignments=choice.assignments,
    )
    options = executor.run_options(request, plugin)
    selection = select(registry, request)
    if dry_run:
        print_forecast(registry, selection, home, options)
        return 0
    summary = compute(registry, selection, home, options, executor.executor_options())
    click.echo(summary_line(summary))
    return int(summary.failed)
