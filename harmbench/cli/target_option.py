"""The option `--target` of commands that run, list or show tasks."""

from __future__ import annotations

import click

target_option = click.option(
    "--target",
    "targets",
    multiple=True,
    metavar="NAME|each",
    help="Domain to harmonise to, instead of the cohort's own target; may be repeated. each: every "
    "domain is the target in turn.",
)
shown_target_option = click.option(
    "--target",
    "targets",
    multiple=True,
    metavar="NAME",
    help="Show only the tasks with this target domain; may be repeated, and may be a glob.",
)
