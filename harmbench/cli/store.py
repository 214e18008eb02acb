"""`harmbench store`: list, verify and prune stored results."""

from __future__ import annotations

import click

from harmbench.cli.wording import counted
from harmbench.errors import UserError

_CATEGORIES = click.Choice(["fit", "cell", "bounds", "run", "outputs", "checkpoints"])


@click.group(invoke_without_command=True)
@click.pass_context
def store(context: click.Context) -> None:
    """List, verify and prune stored fits, results and logs.

    \b
    harmbench store                             show sizes
    harmbench store list --kind fit             list all fits with their keys
    harmbench store verify                      verify the checksums of all files
    harmbench store prune --unused --dry-run    list fits that no result uses
    harmbench store prune --older-than 90 --kind run --yes    remove logs of old runs
    harmbench store prune --older-than 30 --kind outputs      remove outputs of unfinished cells

    Outputs are kept of cells that were killed or have scans that failed, so that the same run
    continues there; checkpoints, of fits that were killed.
    """  # noqa: D301
    if context.invoked_subcommand is None:
        _summary()


def _summary() -> None:
    from harmbench.store.maintenance import stored
    from harmbench.util.home import home

    entries = stored(home())
    for category in _CATEGORIES.choices:
        listed = [entry for entry in entries if entry.kind == category]
        size = sum(entry.size for entry in listed)
        click.echo(f"{category:11} {len(listed):6}  {_size(size):>10}")
    for name in ("results", "imports", "cohorts", "registrations", "artifacts"):
        files = [path for path in (home() / name).rglob("*") if path.is_file()]
        click.echo(f"{name:15} {_size(sum(path.stat().st_size for path in files)):>10}")
    click.echo(f"in {home()}")


@store.command("list")
@click.option("--kind", "category", type=_CATEGORIES, help="Only entries of this kind.")
def listing(category: str | None) -> None:
    """List entries with kind, key, size, age and title."""
    from harmbench.store.maintenance import stored
    from harmbench.util.home import home

    for entry in stored(home()):
        if category in (None, entry.kind):
            click.echo(
                f"{entry.kind:11} {entry.key}  {_size(entry.size):>10}  "
                f"{entry.days:5.1f} days  {entry.title}"
            )


@store.command()
def verify() -> int:
    """Verify the checksum of each file; exit code 1 if one differs."""
    from harmbench.store.maintenance import faults, stored
    from harmbench.util.home import home

    entries = stored(home())
    bad = 0
    for entry in entries:
        errors = list(faults(entry))
        bad += bool(errors)
        for fault in errors:
            click.echo(f"{entry.kind} {entry.key} ({entry.title}): {fault}")
    failed = f", {bad} failed {'its checksum' if bad == 1 else 'their checksums'}" if bad else ""
    click.echo(f"{counted(len(entries), 'entry', 'entries')}{failed}")
    if bad:
        click.echo("`harmbench store prune --damaged` removes them; a run computes them again")
    return int(bad > 0)


@store.command()
@click.option(
    "--older-than",
    type=click.FloatRange(min=0),
    metavar="DAYS",
    help="Entries older than DAYS.",
)
@click.option("--unused", is_flag=True, help="Fits that no stored result uses.")
@click.option("--damaged", is_flag=True, help="Entries that fail their checksum.")
@click.option("--kind", "category", type=_CATEGORIES, help="Only entries of this kind.")
@click.option("--dry-run", is_flag=True, help="List the entries, and remove nothing.")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
def prune(
    older_than: float | None,
    unused: bool,
    damaged: bool,
    category: str | None,
    dry_run: bool,
    yes: bool,
) -> None:
    """Remove entries that meet all given conditions.

    Records are kept: a removed result stays on the boards with its values by subject, but its
    figure, its slices and its values by slice are lost until a run computes it again.
    """
    from harmbench.store.maintenance import remove, stored, to_prune
    from harmbench.util.home import home

    if older_than is None and not unused and not damaged:
        raise UserError("nothing selected: give --older-than DAYS, --unused or --damaged")
    entries = to_prune(stored(home()), older_than=older_than, unused=unused, damaged=damaged)
    entries = [entry for entry in entries if category in (None, entry.kind)]
    size = _size(sum(entry.size for entry in entries))
    for entry in entries:
        click.echo(f"{entry.kind:11} {entry.key}  {entry.title}")
    total = f"{counted(len(entries), 'entry', 'entries')}, {size}"
    if dry_run or not entries:
        click.echo(f"{total} would be removed")
        return
    if not yes:
        click.confirm(f"Remove {total}?", abort=True)
    for entry in entries:
        remove(entry)
    click.echo(f"{total} removed")


def _size(count: int) -> str:
    size = float(count)
    for unit in ("B", "KiB", "MiB"):
        if size < 1024:
            return f"{size:.0f} {unit}"
        size /= 1024
    return f"{size:.1f} GiB"
