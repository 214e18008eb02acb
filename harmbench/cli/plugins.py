"""`harmbench plugins`: list plugins, the names they register, and their errors."""

from __future__ import annotations

import os
from pathlib import Path

import click

from harmbench.cli.options import plugin_option
from harmbench.cli.wording import counted
from harmbench.errors import UserError
from harmbench.plugins import KINDS, Registry
from harmbench.util.home import home


@click.command()
@plugin_option
def plugins(plugin: tuple[Path, ...]) -> None:
    """List plugins with their distribution, version, registered names and errors.

    Plugins are installed packages with an entry point in the group `harmbench`, files in
    $HARMBENCH_HOME/plugins, and files given by --plugin. Other commands leave out broken
    plugins; with HARMBENCH_STRICT_PLUGINS=1 a broken plugin is an error.
    """
    # Strict or not, show all plugins first: this command is for finding the error.
    strict = os.environ.pop("HARMBENCH_STRICT_PLUGINS", "")
    registry = Registry.discover(plugin, home=home())
    for each in registry.plugins:
        version = f" {each.version}" if each.version else ""
        click.echo(f"{each.name}  {each.distribution}{version}  [{each.origin}]")
        for category, names in each.registers.items():
            if names:
                click.echo(f"  {category}: {', '.join(names)}")
        for error in each.errors:
            click.echo(f"  BROKEN {error}")
    conflicts = []
    for category in KINDS:
        try:
            registry.entries(category)
        except UserError as error:
            conflicts.append(str(error))
    for line in conflicts:
        click.echo(f"CONFLICT {line}")
    broken = [each for each in registry.plugins if each.errors]
    if strict not in ("", "0") and (broken or conflicts):
        raise UserError(
            f"{counted(len(broken), 'broken plugin')}, {counted(len(conflicts), 'conflict')}"
        )
