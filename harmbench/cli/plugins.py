"""`harmbench plugins`: what was found, what it registers, and what is broken."""

from __future__ import annotations

import os
from pathlib import Path

import click

from harmbench.cli.options import plugin_option
from harmbench.errors import UserError
from harmbench.plugins import KINDS, Registry


@click.command()
@plugin_option
def plugins(plugin: tuple[Path, ...]) -> None:
    """List plugins with their distribution, version, names and errors.

    Plugins are found as entry points of the group `harmbench`, as files in
    $HARMBENCH_HOME/plugins, and by --plugin. A broken one is left out by every other
    command; set HARMBENCH_STRICT_PLUGINS=1 to make it an error.
    """
    # This command is where one looks when plugins are broken: it shows them all the same.
    strict = os.environ.pop("HARMBENCH_STRICT_PLUGINS", "")
    registry = Registry.discover(plugin)
    for found in registry.plugins:
        version = f" {found.version}" if found.version else ""
        click.echo(f"{found.name}  {found.distribution}{version}  [{found.origin}]")
        for kind, names in found.registers.items():
            if names:
                click.echo(f"  {kind}: {', '.join(names)}")
        for error in found.errors:
            click.echo(f"  BROKEN {error}")
    conflicts = []
    for kind in KINDS:
        try:
            registry.entries(kind)
        except UserError as error:
            conflicts.append(str(error))
    for line in conflicts:
        click.echo(f"CONFLICT {line}")
    broken = [found for found in registry.plugins if found.errors]
    if strict not in ("", "0") and (broken or conflicts):
        raise UserError(f"{len(broken)} broken plugins, {len(conflicts)} conflicts")
