"""The options of target domains and of the fit cohort."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harmbench.errors import UserError

if TYPE_CHECKING:
    from harmbench.data.cohort_request import CohortRequest

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


def fit_request(
    cohort: CohortRequest, fit_cohort: str | None, fit_recipe: Path | None
) -> CohortRequest | None:
    """Return the request of the fit cohort, prepared as the cohort; None without one.

    Raises
    ------
    UserError
        If there is a recipe and no cohort.
    """
    if not fit_cohort:
        if fit_recipe is not None:
            raise UserError(f"--fit-recipe {fit_recipe}: --fit-cohort is missing")
        return None
    return replace(cohort, name=fit_cohort, recipe=fit_recipe, split_file=None)


def single_target(targets: Sequence[str]) -> tuple[str, ...]:
    """Return the target of a folder of images; empty for the cohort's own.

    Raises
    ------
    UserError
        If there are several, since the images of one scan would have one name.
    """
    if len(set(targets)) > 1 or "each" in targets:
        raise UserError(
            f"--target {' --target '.join(targets)}: a folder has images for one target; give the "
            "name of one domain, and another folder for each further one"
        )
    return tuple(targets[:1])
