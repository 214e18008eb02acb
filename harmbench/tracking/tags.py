"""How a cell lies in MLflow: what its run's tags, params and metrics are called."""

from __future__ import annotations

# Facts of a cell that are numbers worth comparing.
FACTS = (
    "fit_seconds",
    "fit_slices_per_second",
    "fit_peak_memory_mib",
    "harmonize_seconds_per_scan",
    "cell_seconds",
    "gpu_peak_memory_mib",
    "gpu_utilization_percent",
    "n_parameters",
    "test_people",
    "test_scans",
)
# What names a cell.
AXES = ("method", "label", "task", "cohort", "cohort_key", "kind", "preset", "seed", "control")
# Texts that every table of runs has.
TEXTS = (
    *(axis for axis in AXES if axis != "seed"),
    "cell", "fit", "status", "reason", "device", "lower_is_better", "headline", "normalization",
    "data",
)  # fmt: skip
# Facts that are tables of their own: `bounds` by title and metric, `flags` by scan.
TABLES = ("bounds", "flags")
# A tag with all that tables are made of, so that one of ten thousand runs is read at once;
# a tag with the subjects' names, and what names of tags with their values begin with; and
# what names of curves begin with.
SUMMARY = "summary"
SUBJECTS = "people"
METRIC = "metric."
CURVES = "fit."
