"""`harmbench check`: check methods and tasks against the contract."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from harmbench.cli.options import complete, discover, plugin_option
from harmbench.cli.wording import counted
from harmbench.errors import UserError

if TYPE_CHECKING:
    from harmbench.testing.checks import CheckResult
    from harmbench.testing.suite import Conformance


@click.command()
@click.argument("names", nargs=-1, metavar="NAME...", shell_complete=complete("methods"))
@click.option("--all", "everything", is_flag=True, help="Check all methods and tasks.")
@click.option("--only", multiple=True, metavar="CHECK", help="Run this check; may be repeated.")
@click.option("--list", "listed", is_flag=True, help="List the checks, and exit.")
@plugin_option
def check(
    names: tuple[str, ...],
    everything: bool,
    only: tuple[str, ...],
    listed: bool,
    plugin: tuple[Path, ...],
) -> int:
    """Check methods and tasks against the contract, on a tiny cohort, in seconds.

    \b
    harmbench check my-method
    harmbench check --plugin my_method.py my-method
    harmbench check my-method --only resume

    Each failure shows the expected property, the observed one and a fix. Declare an expected
    failure on the class: expected_failures = {"batches": "reason"}. If that check passes, it is
    reported as an error. `harmbench.testing.parametrize_with_checks` runs the same checks in
    pytest. Settings are those of the preset `tiny`, or of `quick` if there is none.

    Exit code 0 if all checks passed, 1 if a check failed or no check applied.
    """  # noqa: D301
    if not (names or everything or listed):
        raise UserError("nothing to check: give the NAME of a method or task, or --all")
    registry = discover(plugin)

    from harmbench.testing.method_checks import METHOD_CHECKS
    from harmbench.testing.suite import find
    from harmbench.testing.task_checks import TASK_CHECKS
    from harmbench.testing.tiny import SOURCES

    summaries = {
        "methods": {check.name: check.summary for check in METHOD_CHECKS},
        "tasks": {check.name: check.summary for check in TASK_CHECKS},
    }
    if listed:
        _list(summaries)
        return 0
    if everything:
        names = (*registry.entries("methods"), *registry.entries("tasks", SOURCES))
    check_names = {name for checks in summaries.values() for name in checks}
    for name in only:
        if name not in check_names:
            raise UserError.unknown("check", name, check_names)
    conformances = [find(name, registry=registry) for name in names]
    return _conclude([(each, _perform(each, only)) for each in conformances])


def _list(summaries: dict[str, dict[str, str]]) -> None:
    for category, checks in summaries.items():
        click.echo(f"{category}:")
        for name, summary in checks.items():
            click.echo(f"  {name:14} {summary}")


def _perform(conformance: Conformance, only: tuple[str, ...]) -> list[CheckResult]:
    """Run the checks of a method or task, and print each result."""
    from harmbench.testing.checks import CheckStatus

    click.echo(f"{conformance.category} {conformance.name}")
    results = []
    for check in conformance.checks:
        if only and check.name not in only:
            continue
        result = conformance.perform(check.name)
        results.append(result)
        head = f"  {result.status.value:16} {result.check:14}"
        if result.status is CheckStatus.FAILED:
            click.echo(head.rstrip())
            for line in result.text.splitlines():
                click.echo(f"    {line}")
        else:
            click.echo(f"{head} {result.text or f'{result.seconds:5.1f} s'}")
    if conformance.costs:
        click.echo(f"  costs            {conformance.costs}")
    return results


def _conclude(checked: list[tuple[Conformance, list[CheckResult]]]) -> int:
    """Print the conclusion, and return the exit code."""
    from harmbench.testing.checks import CheckStatus, why_nothing_applied

    statuses = [result.status for _, results in checked for result in results]
    failed, skipped = (statuses.count(each) for each in (CheckStatus.FAILED, CheckStatus.SKIPPED))
    unchecked = 0
    for conformance, results in checked:
        reason = why_nothing_applied(results)
        if reason is not None:
            unchecked += 1
            click.echo(f"no check applied to {conformance.category} {conformance.name}: {reason}")
    if failed:
        click.echo(f"{counted(failed, 'check')} failed")
    if failed or unchecked:
        return 1
    click.echo("all checks passed" + (f", {skipped} skipped" if skipped else ""))
    return 0
