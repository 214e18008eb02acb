"""Names of the tags, parameters and metrics of a cell's MLflow run."""

from __future__ import annotations

# Numeric facts of a cell.
FACTS = (
    "fit_seconds",
    "fit_slices_per_second",
    "fit_peak_memory_mib",
    "harmonize_seconds_per_scan",
    "cell_seconds",
    "gpu_peak_memory_mib",
    "gpu_utilization_percent",
    "n_parameters",
    "test_subjects",
    "test_scans",
)
# Tags that identify a cell.
AXES = (
    "method",
    "label",
    "task",
    "cohort",
    "cohort_key",
    "kind",
    "preset",
    "split",
    "seed",
    "fold",
    "control",
)
# Axes that are whole numbers.
NUMBERS = ("seed", "fold")
# Text columns of the table of runs.
TEXTS = (
    *(axis for axis in AXES if axis not in NUMBERS),
    "family",
    "group",
    "cell",
    "measured",
    "fit",
    "status",
    "reason",
    "device",
    "lower_is_better",
    "headline",
    "normalization",
    "question",
)
# Facts that are tables: `bounds` by title and metric, `flags` by scan, declared versions by metric,
# and versions of libraries.
TABLES = ("bounds", "flags", "metric_versions", "environment")
# A tag with all columns of a run, so that a table of ten thousand runs is read quickly; a tag
# with the subjects' names; prefixes of the tags with their values, and of curves.
SUMMARY = "summary"
SUBJECTS = "subjects"
METRIC = "metric."
CURVES = "fit."
