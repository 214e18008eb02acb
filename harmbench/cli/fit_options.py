"""The options of target domains and of the fit cohort."""

from __future__ import annotations

from pathlib import Path

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
fit_cohort_option = click.option(
    "--fit-cohort",
    metavar="NAME[:ARGUMENT]",
    help="Make all fits on this cohort's own target, and test every subject of --cohort.",
)
fit_recipe_option = click.option(
    "--fit-recipe",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="As --recipe, of the fit cohort.",
)
shown_fit_cohort_option = click.option(
    "--fit-cohort",
    metavar="NAME",
    help="Show only results of fits on this other cohort; may be a glob.",
)
