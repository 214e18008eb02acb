"""What the user requests on the command line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harmbench.data.prepare_options import (
    DEFAULT_NORMALIZATION,
    DEFAULT_PREPARE_OPTIONS,
    PrepareOptions,
)


@dataclass(frozen=True)
class Request:
    """What the user asked for; patterns may be globs.

    Attributes
    ----------
    methods, tasks
        Names or globs.
    cohort, recipe
        `NAME` or `NAME:ARGUMENT`, and the path of a recipe or None.
    preset, seeds
        `"quick"` or `"paper"`, and the base seeds.
    assignments
        Texts of the form `name.field=value`, the name a method's or a task's instrument's.
    ablations
        Whether the ablations that the methods name are asked for, too.
    normalize
        Name of how the scans' intensities are normalised.
    prepare_options
        How volumes are prepared.
    """

    methods: Sequence[str]
    tasks: Sequence[str]
    cohort: str = "phantom"
    recipe: Path | None = None
    preset: str = "quick"
    seeds: Sequence[int] = (0,)
    assignments: Sequence[str] = ()
    ablations: bool = False
    normalize: str = DEFAULT_NORMALIZATION
    prepare_options: PrepareOptions = DEFAULT_PREPARE_OPTIONS
