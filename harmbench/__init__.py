"""harmbench: a benchmark for the harmonisation of MR images.

What a plugin author needs is importable from here, and loads only when it is
used, so that the command line starts without torch::

    from harmbench import Method, Needs, Scans, hookimpl
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from harmbench.contracts.family import Family
from harmbench.contracts.needs import Needs
from harmbench.contracts.published import Published
from harmbench.contracts.purpose import Purpose
from harmbench.errors import (
    BadScanError,
    BlindnessError,
    DivergedError,
    HarmbenchError,
    SkipCell,
    UserError,
)
from harmbench.hookspecs import hookimpl
from harmbench.util.hashing import digest
from harmbench.util.lazy import Lazy

if TYPE_CHECKING:
    from harmbench.api.board_result import BoardResult as BoardResult
    from harmbench.api.fits import load_fitted as load_fitted
    from harmbench.api.harmonize import harmonize as harmonize
    from harmbench.api.results import Results as Results
    from harmbench.api.results import results as results
    from harmbench.api.run import run as run
    from harmbench.contracts.figure import FigureContext as FigureContext
    from harmbench.contracts.figure import PaperFigure as PaperFigure
    from harmbench.contracts.fit_data import FitData as FitData
    from harmbench.contracts.fit_progress import FitProgress as FitProgress
    from harmbench.contracts.instrument import Instrument as Instrument
    from harmbench.contracts.method import Method as Method
    from harmbench.contracts.metric import Metric as Metric
    from harmbench.contracts.model import Model as Model
    from harmbench.contracts.model import at_inference as at_inference
    from harmbench.contracts.scorer import BatchScorer as BatchScorer
    from harmbench.contracts.scorer import Scorer as Scorer
    from harmbench.contracts.scorer import ScoringContext as ScoringContext
    from harmbench.contracts.stack_method import StackMethod as StackMethod
    from harmbench.contracts.task import Task as Task
    from harmbench.contracts.task_data import TaskData as TaskData
    from harmbench.contracts.volume_method import HarmonizedVolume as HarmonizedVolume
    from harmbench.contracts.volume_method import VolumeMethod as VolumeMethod
    from harmbench.data.cohort import Cohort as Cohort
    from harmbench.data.cohort_request import CohortRequest as CohortRequest
    from harmbench.data.cohort_source import CohortSource as CohortSource
    from harmbench.data.cohort_writer import CohortWriter as CohortWriter
    from harmbench.data.cohort_writer import ScanRecord as ScanRecord
    from harmbench.data.cohort_writer import write_row as write_row
    from harmbench.data.disjoint import disjoint_subjects as disjoint_subjects
    from harmbench.data.disjoint import training_scans as training_scans
    from harmbench.data.display import upright as upright
    from harmbench.data.prepare_options import PrepareOptions as PrepareOptions
    from harmbench.data.scan_set import ScanKey as ScanKey
    from harmbench.data.scan_set import ScanSet as ScanSet
    from harmbench.data.scans import Grid as Grid
    from harmbench.data.scans import Scans as Scans
    from harmbench.data.scans import minmax as minmax
    from harmbench.data.sites import training_sites as training_sites
    from harmbench.data.splits import split_subjects as split_subjects
    from harmbench.data.transform import Transform as Transform
    from harmbench.data.volumes import Frame as Frame
    from harmbench.data.volumes import VolumeScan as VolumeScan
    from harmbench.data.volumes import VolumeSet as VolumeSet
    from harmbench.data.volumes import VolumeSource as VolumeSource
    from harmbench.data.volumes import VolumeSpace as VolumeSpace
    from harmbench.data.volumes import VolumeTransform as VolumeTransform
    from harmbench.external.segmentation_program import SegmentationProgram as SegmentationProgram
    from harmbench.preprocessing.bias_field import estimate_bias_field as estimate_bias_field
    from harmbench.preprocessing.normalization.white_stripe import (
        white_matter_mode as white_matter_mode,
    )
    from harmbench.statistics.estimate import Estimate as Estimate
    from harmbench.statistics.estimate import bootstrap_statistic as bootstrap_statistic
    from harmbench.statistics.estimate import estimates as estimates
    from harmbench.statistics.estimate import mean_interval as mean_interval
    from harmbench.statistics.resampling import bootstrap_draws as bootstrap_draws
    from harmbench.statistics.value_range import ValueRange as ValueRange
    from harmbench.training.as_method import as_method as as_method
    from harmbench.training.batches import Batches as Batches
    from harmbench.training.batches import SliceBatches as SliceBatches
    from harmbench.training.loop import train as train
    from harmbench.training.phase import Phase as Phase
    from harmbench.util.json_tensor import from_json_tensor as from_json_tensor
    from harmbench.util.json_tensor import json_tensor as json_tensor
    from harmbench.util.precision import autocast as autocast
    from harmbench.util.progress import Progress as Progress
    from harmbench.util.seeds import derive as derive
    from harmbench.util.seeds import numpy_generator as numpy_generator
    from harmbench.util.seeds import seeded as seeded
    from harmbench.util.seeds import torch_generator as torch_generator

# Names that load torch or pandas, by the module that holds them.
_LAZY = {
    "BatchScorer": "harmbench.contracts.scorer",
    "Batches": "harmbench.training.batches",
    "Cohort": "harmbench.data.cohort",
    "CohortRequest": "harmbench.data.cohort_request",
    "CohortSource": "harmbench.data.cohort_source",
    "CohortWriter": "harmbench.data.cohort_writer",
    "Estimate": "harmbench.statistics.estimate",
    "FigureContext": "harmbench.contracts.figure",
    "FitData": "harmbench.contracts.fit_data",
    "FitProgress": "harmbench.contracts.fit_progress",
    "Grid": "harmbench.data.scans",
    "Instrument": "harmbench.contracts.instrument",
    "Method": "harmbench.contracts.method",
    "Metric": "harmbench.contracts.metric",
    "Model": "harmbench.contracts.model",
    "PaperFigure": "harmbench.contracts.figure",
    "Phase": "harmbench.training.phase",
    "PrepareOptions": "harmbench.data.prepare_options",
    "Progress": "harmbench.util.progress",
    "ScanRecord": "harmbench.data.cohort_writer",
    "ScanKey": "harmbench.data.scan_set",
    "ScanSet": "harmbench.data.scan_set",
    "Scans": "harmbench.data.scans",
    "Scorer": "harmbench.contracts.scorer",
    "ScoringContext": "harmbench.contracts.scorer",
    "SegmentationProgram": "harmbench.external.segmentation_program",
    "SliceBatches": "harmbench.training.batches",
    "StackMethod": "harmbench.contracts.stack_method",
    "Task": "harmbench.contracts.task",
    "TaskData": "harmbench.contracts.task_data",
    "Transform": "harmbench.data.transform",
    "Frame": "harmbench.data.volumes",
    "HarmonizedVolume": "harmbench.contracts.volume_method",
    "ValueRange": "harmbench.statistics.value_range",
    "VolumeMethod": "harmbench.contracts.volume_method",
    "VolumeScan": "harmbench.data.volumes",
    "VolumeSet": "harmbench.data.volumes",
    "VolumeSource": "harmbench.data.volumes",
    "VolumeSpace": "harmbench.data.volumes",
    "VolumeTransform": "harmbench.data.volumes",
    "as_method": "harmbench.training.as_method",
    "at_inference": "harmbench.contracts.model",
    "autocast": "harmbench.util.precision",
    "bootstrap_draws": "harmbench.statistics.resampling",
    "bootstrap_statistic": "harmbench.statistics.estimate",
    "derive": "harmbench.util.seeds",
    "estimate_bias_field": "harmbench.preprocessing.bias_field",
    "estimates": "harmbench.statistics.estimate",
    "load_fitted": "harmbench.api.fits",
    "harmonize": "harmbench.api.harmonize",
    "Results": "harmbench.api.results",
    "BoardResult": "harmbench.api.board_result",
    "results": "harmbench.api.results",
    "run": "harmbench.api.run",
    "mean_interval": "harmbench.statistics.estimate",
    "minmax": "harmbench.data.scans",
    "from_json_tensor": "harmbench.util.json_tensor",
    "json_tensor": "harmbench.util.json_tensor",
    "numpy_generator": "harmbench.util.seeds",
    "seeded": "harmbench.util.seeds",
    "disjoint_subjects": "harmbench.data.disjoint",
    "split_subjects": "harmbench.data.splits",
    "training_scans": "harmbench.data.disjoint",
    "training_sites": "harmbench.data.sites",
    "torch_generator": "harmbench.util.seeds",
    "train": "harmbench.training.loop",
    "upright": "harmbench.data.display",
    "white_matter_mode": "harmbench.preprocessing.normalization.white_stripe",
    "write_row": "harmbench.data.cohort_writer",
}

__all__ = [
    "BadScanError",
    "BatchScorer",
    "Batches",
    "BlindnessError",
    "BoardResult",
    "Cohort",
    "CohortRequest",
    "CohortSource",
    "CohortWriter",
    "DivergedError",
    "Estimate",
    "Family",
    "FigureContext",
    "FitData",
    "FitProgress",
    "Frame",
    "Grid",
    "HarmbenchError",
    "HarmonizedVolume",
    "Instrument",
    "Lazy",
    "Method",
    "Metric",
    "Model",
    "Needs",
    "PaperFigure",
    "Phase",
    "PrepareOptions",
    "Progress",
    "Published",
    "Purpose",
    "Results",
    "ScanKey",
    "ScanRecord",
    "ScanSet",
    "Scans",
    "Scorer",
    "ScoringContext",
    "SegmentationProgram",
    "SkipCell",
    "SliceBatches",
    "StackMethod",
    "Task",
    "TaskData",
    "Transform",
    "UserError",
    "ValueRange",
    "VolumeMethod",
    "VolumeScan",
    "VolumeSet",
    "VolumeSource",
    "VolumeSpace",
    "VolumeTransform",
    "as_method",
    "at_inference",
    "autocast",
    "bootstrap_draws",
    "bootstrap_statistic",
    "derive",
    "digest",
    "disjoint_subjects",
    "estimate_bias_field",
    "estimates",
    "from_json_tensor",
    "harmonize",
    "hookimpl",
    "json_tensor",
    "load_fitted",
    "mean_interval",
    "minmax",
    "numpy_generator",
    "results",
    "run",
    "seeded",
    "split_subjects",
    "torch_generator",
    "train",
    "training_scans",
    "training_sites",
    "upright",
    "white_matter_mode",
    "write_row",
]


def __getattr__(name: str) -> Any:
    """Load a public name on first use (PEP 562)."""
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'harmbench' has no attribute {name!r}")
