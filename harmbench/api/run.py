"""Run methods on tasks from Python."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from harmbench.api.computation import compute
from harmbench.api.given import register
from harmbench.api.results import Results, results
from harmbench.data.cohort_request import CohortRequest
from harmbench.errors import UserError
from harmbench.execution.plan.request import Request
from harmbench.execution.plan.selection import select
from harmbench.execution.schedule.executors.options import ExecutorOptions
from harmbench.execution.schedule.run_options import RunOptions
from harmbench.plugins import Registry
from harmbench.util.hashing import canonical
from harmbench.util.home import writable_home
from harmbench.util.progress_bars import shown

if TYPE_CHECKING:
    from harmbench.contracts.method import Method
    from harmbench.contracts.task import Task
    from harmbench.execution.schedule.run import RunProgress


def run(
    methods: str | type[Method] | Method | Sequence[str | type[Method] | Method],
    tasks: str | type[Task] | Task | Sequence[str | type[Task] | Task],
    cohort: str | CohortRequest = "phantom",
    *,
    folds: int = 0,
    recipe: Path | str | None = None,
    preset: str = "quick",
    split: str = "test",
    seeds: Sequence[int] = (0,),
    settings: Mapping[str, Any] | None = None,
    targets: Sequence[str] = (),
    plugins: Sequence[Path | str] = (),
    workers: int = 1,
    device: str = "auto",
    home: Path | str | None = None,
    progress: bool = True,
) -> Results:
    """Run every method on every task, as `harmbench run` does, and return the results.

    Results that are in the store already are not computed again. All results are recorded, and
    appear on the boards of the command line.

    Parameters
    ----------
    methods, tasks
        Names or globs, such as `"sim-*"`; classes; or instances. An instance of a method stands
        for its class with its settings, and is fitted again.
    cohort
        `NAME`, `NAME:ARGUMENT` or `FILE.csv`, as for `--cohort`; or a complete request.
    folds
        Number of folds of a cross-validation; 0 for the test split.
    recipe
        Path of the recipe of a BIDS data set.
    preset, split, seeds, targets
        As the options of `harmbench run`.
    settings
        Values of settings by `"method.field"`.
    plugins
        Files to load as plugins.
    workers
        Number of processes. Classes and instances run in this process only.
    device
        `auto`, `cpu`, `cuda`, `cuda:N` or `mps`.
    home
        Home folder; `$HARMBENCH_HOME` or `~/.harmbench` if None.
    progress
        Whether to show the progress, on the error stream.

    Returns
    -------
    Results
        The cells of this run.

    Raises
    ------
    UserError
        For an unknown name or setting, or data that cannot be used; with the same message as
        the command line. A cell that fails raises nothing: see `Results.frame`.

    Examples
    --------
    >>> import harmbench
    >>> results = harmbench.run("identity", "sim-exp", "phantom:4")  # doctest: +SKIP
    >>> results.board("psnr").frame()  # doctest: +SKIP
    """
    folder = writable_home() if home is None else Path(home)
    files = tuple(Path(path).resolve() for path in plugins)
    with progress_on_stderr(show=progress) as shown_progress:
        registry = Registry.discover(files, shown_progress.log, home=folder)
        given = register(registry, methods, tasks, preset)
        if given.in_process and workers > 1:
            raise UserError(
                "classes and instances run in this process only: use workers=1, or write the class "
                "to a file and give it with plugins="
            )
        request = Request(
            methods=given.methods,
            tasks=given.tasks,
            targets=tuple(targets),
            cohort=cohort_request(cohort, recipe),
            preset=preset,
            split=split,
            folds=folds,
            seeds=tuple(seeds),
            assignments=(*given.assignments, *setting_texts(settings)),
        )
        options = RunOptions(request=request, plugins=files, device=device)
        executor = ExecutorOptions("local" if workers > 1 else "serial", workers)
        selection = select(registry, request)
        summary = compute(registry, selection, folder, options, shown_progress, executor)
    keys = [planned.cell.key for planned, _ in summary.results]
    return results(home=folder, registry=registry).of_cells(keys)


def cohort_request(cohort: str | CohortRequest, recipe: Path | str | None) -> CohortRequest:
    """Return the request of a cohort, given by its address or complete."""
    if isinstance(cohort, CohortRequest):
        return cohort
    return CohortRequest(cohort, None if recipe is None else Path(recipe))


@contextlib.contextmanager
def progress_on_stderr(*, show: bool) -> Iterator[RunProgress]:
    """Show progress on the error stream, or nowhere."""
    # A notebook gets plain lines: bars need a widget.
    console = Console(stderr=True, force_jupyter=False)
    if not show:
        console = Console(file=io.StringIO(), force_jupyter=False)
    with shown(console) as progress:
        yield progress


def setting_texts(settings: Mapping[str, Any] | None) -> tuple[str, ...]:
    """Return settings as the command line writes them."""
    return tuple(
        f"{name}={value if isinstance(value, str) else json.dumps(canonical(value))}"
        for name, value in (settings or {}).items()
    )
