"""The cohort that the user requests, and how its scans are prepared."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from harmbench.data.prepare_options import (
    DEFAULT_PREPARE_OPTIONS,
    PrepareOptions,
)


@dataclass(frozen=True)
class CohortRequest:
    """A cohort by name, and how to prepare it.

    Attributes
    ----------
    name
        `NAME`, `NAME:ARGUMENT` or `FILE.csv`, as given by `--cohort`.
    recipe
        Path of a recipe, or None.
    normalization
        Name of the normalisation of intensities; None for that of the preset
        (`default_normalization`).
    options
        How volumes are prepared.
    split_file
        Path of a file with the split or fold of each subject, or None.
    """

    name: str = "phantom"
    recipe: Path | None = None
    normalization: str | None = None
    options: PrepareOptions = DEFAULT_PREPARE_OPTIONS
    split_file: Path | None = None
