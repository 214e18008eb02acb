"""Columns of the table of results."""

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
# Columns that identify a cell.
AXES = (
    "method",
    "label",
    "task",
    "cohort",
    "cohort_key",
    "kind",
    "preset",
    "target",
    "fit_cohort",
    "fit_cohort_key",
    "split",
    "seed",
    "fold",
    "control",
)
# Axes that cells on one board have in common.
BOARD_AXES = (
    "cohort",
    "cohort_key",
    "fit_cohort",
    "fit_cohort_key",
    "kind",
    "preset",
    "split",
    "normalization",
)
# Of the records that are equal in these columns, one counts on a board.
PLACE = (*BOARD_AXES, "label", "task", "seed", "fold")
# Axes that are whole numbers.
NUMBERS = ("seed", "fold")
# Columns of texts.
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
    "diagnostic",
    "ranges",
    "headline",
    "normalization",
    "question",
    "needs",
    "covariates",
    "votes",
    "code",
)
# In the column `votes`, of a task that does not count in the ranking.
NO_VOTE = "no"
# Facts that are tables: `bounds` by title and metric, `flags` by scan, `missing` (why a command
# failed on a scan) by scan, declared versions by metric,
# versions of libraries, bootstrap draws of metrics of the whole cohort by metric, and the origin of
# a submission (`Cell.submission`).
TABLES = ("bounds", "flags", "metric_versions", "environment", "draws", "submission", "missing")
