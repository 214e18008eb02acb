"""The settings by which the scans of a study are prepared."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harmbench.cohorts.bids.recipe import Recipe
from harmbench.data.prepare_options import PrepareOptions
from harmbench.data.scans import Grid
from harmbench.preprocessing.brain_tools import Extractor

if TYPE_CHECKING:
    from harmbench.preprocessing.scan_job import Tissues


@dataclass(frozen=True, kw_only=True)
class StudySettings:
    """The settings by which the scans of a study are prepared.

    Attributes
    ----------
    recipe
        Domains, labels, pairs and splits of the study.
    grid
        The grid to prepare scans on.
    home
        Folder of the stores, which caches file digests, masks and registrations.
    normalization
        Name of the intensity normalisation.
    options
        How volumes are prepared.
    extractor
        The tool for brain extraction, or None.
    """

    recipe: Recipe
    grid: Grid
    home: Path
    normalization: str
    options: PrepareOptions
    extractor: Extractor | None

    @property
    def tissues(self) -> Tissues | None:
        """The label values of CSF, grey and white matter; None without labels."""
        labels = self.recipe.labels
        return None if labels is None else (labels.csf, labels.grey_matter, labels.white_matter)
