"""`harmbench check`: whether methods and tasks hold to the contract."""

from __future__ import annotations

from pathlib import Path

import click

from harmbench.cli.options import complete, discover, plugin_option
from harmbench.errors import UserError


@click.command()
@click.argument("names", nargs=-1, metavar="NAME...", shell_complete=complete("methods"))
@click.option("--all", "everything", is_flag=True, help="Check all methods and tasks there are.")
@click.option("--only", multiple=True, metavar="CHECK", help="Make this check; may be repeated.")
@click.option("--list", "listed", is_flag=True, help="List the checks, and make none.")
@plugin_option
def check(
    names: tuple[str, ...],
    everything: bool,
    only: tuple[str, ...],
    listed: bool,
    plugin: tuple[Path, ...],
) -> int:
    """Check that methods and tasks hold to the contract, on a tiny cohort, in seconds.

    \b
    harmbench check my-method
    harmbench check --plugin my_method.py my-method
    harmbench check my-method --only resume

    Each failure says what was expected, what came, and how to mend it. A failure that is
    meant is declared on the class, as in expected_failures = {"batches": "why"}, and is an
    error once the check passes. The same checks run as tests of pytest by
    `harmbench.testing.parametrize_with_checks`. Settings are those of the preset `tiny`, or
    of `quick`. Exit code 0 if all is well, 1 if a check failed.
    """  # noqa: D301
    if not (names or everything or listed):
        raise UserError("say what to check: a method's or a task's NAME, or --all")
    registry = discover(plugin)

    from harmbench.testing.checks import CheckStatus
    from harmbench.testing.method_checks import METHOD_CHECKS
    from harmbench.testing.suite import find
    from harmbench.testing.task_checks import TASK_CHECKS
    from harmbench.testing.tiny_cohort import SOURCES

    checks = {
        "methods": {one.name: one.summary for one in METHOD_CHECKS},
        "tasks": {one.name: one.summary for one in TASK_CHECKS},
    }
    if listed:
        for kind, there in checks.items():
            click.echo(f"{kind}:")
            for name, summary in there.items():
                click.echo(f"  {name:14} {summary}")
        return 0
    if everything:
        names = (*registry.entries("methods"), *registry.entries("tasks", SOURCES))
    known = {name for there in checks.values() for name in there}
    for name in only:
        if name not in known:
            raise UserError.unknown("check", name, known)
    found = [find(name, registry=registry) for name in names]
    failed = 0
    for conformance in found:
        click.echo(f"{conformance.kind} {conformance.name}")
        wanted = [one.name for one in conformance.checks if not only or one.name in only]
        for outcome in map(conformance.perform, wanted):
            head = f"  {outcome.status.value:16} {outcome.check:14}"
            if outcome.status is CheckStatus.FAILED:
                failed += 1
                click.echo(head.rstrip())
                for line in outcome.text.splitlines():
                    click.echo(f"    {line}")
            elif outcome.text:
                click.echo(f"{head} {outcome.text}")
            else:
                click.echo(f"{head} {outcome.seconds:5.1f} s")
        if conformance.costs:
            click.echo(f"  costs            {conformance.costs}")
    click.echo(f"{failed} checks failed" if failed else "all checks passed")
    return 1 if failed else 0
