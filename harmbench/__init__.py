"""harmbench: a benchmark for the harmonisation of MR images.

What a plugin author needs is importable from here, and loads only when it is
used, so that the command line starts without torch::

    from harmbench import Method, Needs, Scans, hookimpl
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from harmbench.errors import (
    BadScanError,
    BlindnessError,
    DivergedError,
    HarmbenchError,
    SkipCell,
    UserError,
)
from harmbench.hashing import digest
from harmbench.lazy import Lazy
from harmbench.needs import Needs
from harmbench.plugins import hookimpl
from harmbench.published import Published

if TYPE_CHECKING:
    from harmbench.batches import Batches as Batches
    from harmbench.batches import SliceBatches as SliceBatches
    from harmbench.data.cohort import Cohort as Cohort
    from harmbench.data.cohort import CohortSource as CohortSource
    from harmbench.data.cohort import CohortWriter as CohortWriter
    from harmbench.data.cohort import ScanRecord as ScanRecord
    from harmbench.data.cohort import split_people as split_people
    from harmbench.data.cohort import write_row as write_row
    from harmbench.data.scanset import ScanSet as ScanSet
    from harmbench.data.scanset import Transform as Transform
    from harmbench.figures import upright as upright
    from harmbench.instrument import Instrument as Instrument
    from harmbench.method import Method as Method
    from harmbench.metrics.aggregate import Estimate as Estimate
    from harmbench.metrics.aggregate import bootstrap as bootstrap
    from harmbench.metrics.aggregate import bootstrap_statistic as bootstrap_statistic
    from harmbench.metrics.aggregate import estimates as estimates
    from harmbench.metrics.base import Metric as Metric
    from harmbench.model import FitData as FitData
    from harmbench.model import Model as Model
    from harmbench.model import at_inference as at_inference
    from harmbench.paperfigure import FigureContext as FigureContext
    from harmbench.paperfigure import PaperFigure as PaperFigure
    from harmbench.precision import autocast as autocast
    from harmbench.progress import FitProgress as FitProgress
    from harmbench.progress import Progress as Progress
    from harmbench.scans import Grid as Grid
    from harmbench.scans import Scans as Scans
    from harmbench.scans import minmax as minmax
    from harmbench.scorer import BatchScorer as BatchScorer
    from harmbench.scorer import Scorer as Scorer
    from harmbench.scorer import ScoringContext as ScoringContext
    from harmbench.seeds import derive as derive
    from harmbench.seeds import numpy_generator as numpy_generator
    from harmbench.seeds import seeded as seeded
    from harmbench.seeds import torch_generator as torch_generator
    from harmbench.task import Task as Task
    from harmbench.task import TaskData as TaskData
    from harmbench.training import Phase as Phase
    from harmbench.training import train as train
    from harmbench.wrapped import as_method as as_method

# Names that load torch or pandas, by the module that holds them.
_LAZY = {
    "BatchScorer": "harmbench.scorer",
    "Batches": "harmbench.batches",
    "Cohort": "harmbench.data.cohort",
    "CohortSource": "harmbench.data.cohort",
    "CohortWriter": "harmbench.data.cohort",
    "Estimate": "harmbench.metrics.aggregate",
    "FigureContext": "harmbench.paperfigure",
    "FitData": "harmbench.model",
    "FitProgress": "harmbench.progress",
    "Grid": "harmbench.scans",
    "Instrument": "harmbench.instrument",
    "Method": "harmbench.method",
    "Metric": "harmbench.metrics.base",
    "Model": "harmbench.model",
    "PaperFigure": "harmbench.paperfigure",
    "Phase": "harmbench.training",
    "Progress": "harmbench.progress",
    "ScanRecord": "harmbench.data.cohort",
    "ScanSet": "harmbench.data.scanset",
    "Scans": "harmbench.scans",
    "Scorer": "harmbench.scorer",
    "ScoringContext": "harmbench.scorer",
    "SliceBatches": "harmbench.batches",
    "Task": "harmbench.task",
    "TaskData": "harmbench.task",
    "Transform": "harmbench.data.scanset",
    "as_method": "harmbench.wrapped",
    "at_inference": "harmbench.model",
    "autocast": "harmbench.precision",
    "bootstrap": "harmbench.metrics.aggregate",
    "bootstrap_statistic": "harmbench.metrics.aggregate",
    "derive": "harmbench.seeds",
    "estimates": "harmbench.metrics.aggregate",
    "minmax": "harmbench.scans",
    "numpy_generator": "harmbench.seeds",
    "seeded": "harmbench.seeds",
    "split_people": "harmbench.data.cohort",
    "torch_generator": "harmbench.seeds",
    "train": "harmbench.training",
    "upright": "harmbench.figures",
    "write_row": "harmbench.data.cohort",
}

__all__ = [
    "BadScanError",
    "BatchScorer",
    "Batches",
    "BlindnessError",
    "Cohort",
    "CohortSource",
    "CohortWriter",
    "DivergedError",
    "Estimate",
    "FigureContext",
    "FitData",
    "FitProgress",
    "Grid",
    "HarmbenchError",
    "Instrument",
    "Lazy",
    "Method",
    "Metric",
    "Model",
    "Needs",
    "PaperFigure",
    "Phase",
    "Progress",
    "Published",
    "ScanRecord",
    "ScanSet",
    "Scans",
    "Scorer",
    "ScoringContext",
    "SkipCell",
    "SliceBatches",
    "Task",
    "TaskData",
    "Transform",
    "UserError",
    "as_method",
    "at_inference",
    "autocast",
    "bootstrap",
    "bootstrap_statistic",
    "derive",
    "digest",
    "estimates",
    "hookimpl",
    "minmax",
    "numpy_generator",
    "seeded",
    "split_people",
    "torch_generator",
    "train",
    "upright",
    "write_row",
]


def __getattr__(name: str) -> Any:
    """Load a public name on first use (PEP 562)."""
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'harmbench' has no attribute {name!r}")
