"""`harmbench data export-inputs`: write the scans that a method outside harmbench needs."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harmbench.cli.options import TaskChoice, discover, plugin_option, task_options
from harmbench.errors import UserError

if TYPE_CHECKING:
    from harmbench.execution.plan.questions import Questions
    from harmbench.external.input_files import TaskInputs


@click.command("export-inputs")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@task_options
@click.option(
    "--space",
    type=click.Choice(["acquired", "grid"]),
    default="acquired",
    show_default=True,
    help="Voxels of the scans: as acquired, or the prepared slices on the scoring grid.",
)
@click.option("--head", is_flag=True, help="Write whole heads instead of brains.")
@click.option("--force", is_flag=True, help="Replace files of the same name in FOLDER.")
@plugin_option
def export_inputs(
    folder: Path,
    choice: TaskChoice,
    space: str,
    head: bool,
    force: bool,
    plugin: tuple[Path, ...],
) -> None:
    """Write the scans of tasks into FOLDER, for a method outside harmbench.

    \b
    harmbench data export-inputs inputs -t domain3
    harmbench data export-inputs inputs -t 'site-*' --cohort bids:/data/study --recipe study.toml
    harmbench data export-inputs inputs -t 'sim-*' --space grid
    harmbench data export-inputs inputs -t 'travel-*' --cohort simon:/data/simon \\
        --fit-cohort on-harmony:/data/ds004712

    FOLDER/test has the scans to harmonise, FOLDER/train the scans to learn from, and
    FOLDER/split.tsv the split or fold of each. With --fit-cohort, all scans to learn from are of
    that cohort. A folder has the inputs of one --target. `harmbench score` scores the results.
    """  # noqa: D301
    request = choice.request()
    registry = discover(plugin)

    from rich.console import Console

    from harmbench.cli.wording import counted
    from harmbench.data.folds import folds_of
    from harmbench.execution.plan.questions import Questions
    from harmbench.execution.plan.selection import select
    from harmbench.external.input_files import Export, ExportSpace
    from harmbench.util.home import writable_home
    from harmbench.util.progress_bars import shown

    selection = select(registry, request)
    with shown(Console(stderr=True)) as progress:
        questions = Questions.open(selection, writable_home(), progress)
        export = Export(
            cohort=questions.cohort,
            inputs=_inputs(questions),
            folds=folds_of(questions.cohort, choice.folds) if choice.folds else {},
            space=ExportSpace(space),
            fit_cohort=questions.fit_cohort,
            head=head,
        )
        count = export.write(folder, _next_command(), progress, force=force)
    click.echo(f"wrote {counted(count, 'scan')} to {folder}; see {folder / 'README.md'}")


def _inputs(questions: Questions) -> list[TaskInputs]:
    """Return the data of all tasks; a task that refuses the cohort is reported and left out."""
    from harmbench.external.input_files import TaskInputs

    inputs, reasons = [], {}
    for question in questions:
        if question.data is None:
            reasons[question.label] = question.skip or question.fault or ""
        else:
            fold = question.cohort.fold
            inputs.append(TaskInputs(task=question.task_name, fold=fold, data=question.data))
    for task, reason in reasons.items():
        click.echo(f"warning: task '{task}' is left out: {reason}", err=True)
    if not inputs:
        raise UserError("no task has inputs on this cohort")
    return inputs


def _next_command() -> str:
    """Return the command that scores the results, with the options of this command."""
    context = click.get_current_context()
    words = ["harmbench", "score", "harmonised", "--name", "MY-METHOD"]
    kept = {"tasks", "cohort", "recipe", "normalize", "brain_extraction", "no_brain_mask", "n4"}
    kept |= {
        "targets",
        "fit_cohort",
        "fit_recipe",
        "split_file",
        "preset",
        "split",
        "folds",
        "seed",
        "plugin",
    }
    for option in context.command.params:
        name = option.name or ""
        value = context.params.get(name)
        if name not in kept or not isinstance(option, click.Option):
            continue
        if value is None or (name != "tasks" and value == option.get_default(context)):
            continue
        flag = option.opts[-1]
        if option.is_flag:
            words += [flag] if value else []
        else:
            items = value if isinstance(value, tuple) else (value,)
            words += [word for item in items for word in (flag, str(item))]
    return shlex.join(words)
