"""`harmbench store`: what has been computed, whether it is whole, and what may go."""

from __future__ import annotations

import click

from harmbench.errors import UserError

_KINDS = click.Choice(["fit", "cell", "bounds", "run"])


@click.group(invoke_without_command=True)
@click.pass_context
def store(context: click.Context) -> None:
    """List, verify and prune what has been computed.

    \b
    harmbench store                             sizes
    harmbench store list --kind fit             every fit, with its key
    harmbench store verify                      are all files as they were written?
    harmbench store prune --unused --dry-run    fits that no result needs
    harmbench store prune --older-than 90 --kind run --yes    logs of old runs
    """  # noqa: D301
    if context.invoked_subcommand is None:
        _summary()


def _summary() -> None:
    from harmbench.store.maintenance import stored
    from harmbench.util.home import home

    entries = stored(home())
    for kind in _KINDS.choices:
        of_kind = [entry for entry in entries if entry.kind == kind]
        size = sum(entry.size for entry in of_kind)
        click.echo(f"{kind:8} {len(of_kind):6}  {_size(size):>10}")
    for name in ("cohorts", "registrations", "artifacts"):
        files = [path for path in (home() / name).rglob("*") if path.is_file()]
        click.echo(f"{name:15} {_size(sum(path.stat().st_size for path in files)):>10}")
    click.echo(f"in {home()}")


@store.command("list")
@click.option("--kind", type=_KINDS, help="Only this kind.")
def listing(kind: str | None) -> None:
    """List every entry: kind, key, size, age and what it is."""
    from harmbench.store.maintenance import stored
    from harmbench.util.home import home

    for entry in stored(home()):
        if kind in (None, entry.kind):
            click.echo(
                f"{entry.kind:6} {entry.key}  {_size(entry.size):>10}  "
                f"{entry.days:5.1f} days  {entry.title}"
            )


@store.command()
def verify() -> int:
    """Compare every file with its checksum; exit code 1 if one is not as it was written."""
    from harmbench.store.maintenance import faults, stored
    from harmbench.util.home import home

    entries = stored(home())
    bad = 0
    for entry in entries:
        found = list(faults(entry))
        bad += bool(found)
        for fault in found:
            click.echo(f"{entry.kind} {entry.key} ({entry.title}): {fault}")
    click.echo(f"{len(entries)} entries, {bad} of them not as they were written")
    if bad:
        click.echo("`harmbench store prune --damaged` removes them; a run makes them anew")
    return int(bad > 0)


@store.command()
@click.option("--older-than", type=click.FloatRange(min=0), metavar="DAYS", help="Written before.")
@click.option("--unused", is_flag=True, help="Fits that no stored result used.")
@click.option("--damaged", is_flag=True, help="What is not as it was written.")
@click.option("--kind", type=_KINDS, help="Only this kind.")
@click.option("--dry-run", is_flag=True, help="Say what would be removed, and remove nothing.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def prune(
    older_than: float | None,
    unused: bool,
    damaged: bool,
    kind: str | None,
    dry_run: bool,
    yes: bool,
) -> None:
    """Remove entries that meet every condition given; what MLflow recorded of them stays."""
    from harmbench.store.maintenance import remove, stored, to_prune
    from harmbench.util.home import home

    if older_than is None and not unused and not damaged:
        raise UserError("say what may go: --older-than DAYS, --unused or --damaged")
    entries = to_prune(stored(home()), older_than=older_than, unused=unused, damaged=damaged)
    entries = [entry for entry in entries if kind in (None, entry.kind)]
    size = _size(sum(entry.size for entry in entries))
    for entry in entries:
        click.echo(f"{entry.kind:6} {entry.key}  {entry.title}")
    told = f"{len(entries)} entries, {size}"
    if dry_run or not entries:
        click.echo(f"{told} would be removed")
        return
    if not yes:
        click.confirm(f"Remove {told}?", abort=True)
    for entry in entries:
        remove(entry)
    click.echo(f"{told} removed")


def _size(count: int) -> str:
    size = float(count)
    for unit in ("B", "KiB", "MiB"):
        if size < 1024:
            return f"{size:.0f} {unit}"
        size /= 1024
    return f"{size:.1f} GiB"
