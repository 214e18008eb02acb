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

if TYPE_CHECKING:
    from harmbench.data.cohort import Cohort as Cohort
    from harmbench.data.scanset import ScanSet as ScanSet
    from harmbench.data.scanset import Transform as Transform
    from harmbench.method import FitData as FitData
    from harmbench.method import Method as Method
    from harmbench.method import at_inference as at_inference
    from harmbench.metrics.base import Metric as Metric
    from harmbench.progress import Progress as Progress
    from harmbench.scans import Grid as Grid
    from harmbench.scans import Scans as Scans
    from harmbench.scans import minmax as minmax
    from harmbench.seeds import numpy_generator as numpy_generator
    from harmbench.seeds import torch_generator as torch_generator
    from harmbench.task import Task as Task
    from harmbench.task import TaskData as TaskData

# Names that load torch or pandas, by the module that holds them.
_LAZY = {
    "Cohort": "harmbench.data.cohort",
    "FitData": "harmbench.method",
    "Grid": "harmbench.scans",
    "Method": "harmbench.method",
    "Metric": "harmbench.metrics.base",
    "Progress": "harmbench.progress",
    "ScanSet": "harmbench.data.scanset",
    "Scans": "harmbench.scans",
    "Task": "harmbench.task",
    "TaskData": "harmbench.task",
    "Transform": "harmbench.data.scanset",
    "at_inference": "harmbench.method",
    "minmax": "harmbench.scans",
    "numpy_generator": "harmbench.seeds",
    "torch_generator": "harmbench.seeds",
}

__all__ = [
    "BadScanError",
    "BlindnessError",
    "Cohort",
    "DivergedError",
    "FitData",
    "Grid",
    "HarmbenchError",
    "Lazy",
    "Method",
    "Metric",
    "Needs",
    "Progress",
    "ScanSet",
    "Scans",
    "SkipCell",
    "Task",
    "TaskData",
    "Transform",
    "UserError",
    "at_inference",
    "digest",
    "hookimpl",
    "minmax",
    "numpy_generator",
    "torch_generator",
]


def __getattr__(name: str) -> Any:
    """Load a public name on first use (PEP 562)."""
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'harmbench' has no attribute {name!r}")
