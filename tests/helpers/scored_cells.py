"""Finished cells with scores for which every statistic is known."""

from __future__ import annotations

import numpy as np
import pandas as pd

from harmbench.contracts.cell import Cell, CellResult, Status
from harmbench.statistics.estimate import estimates
from harmbench.util.hashing import digest

COLUMNS = ["subject", "scan", "slice", "metric", "value"]
SUBJECTS = [f"p{i}" for i in range(8)]
CONTROLS = {"identity": "floor", "oracle": "ceiling", "rescan": "ceiling"}

# The methods of the report: what identity scores, and what others gain.
EVIL = '<script>alert("x")</script>[a=1]'
BASE = np.arange(20.0, 28.0)
GAINS = {"identity": 0.0, "good": 5.0, "weak": 1.0, EVIL: 3.0}


def scored(**metrics):
    """A finished cell from each subject's values, by metric."""
    rows = [
        (subject, "1", index, metric, value + step)
        for metric, values in metrics.items()
        for subject, value in zip(SUBJECTS, values, strict=False)
        # The mean of two slices is the subject's value.
        for index, step in ((0, -0.5), (1, 0.5))
    ]
    scores = pd.DataFrame(rows, columns=COLUMNS)
    facts = {
        "lower_is_better": ["mae"],
        "headline": ["psnr", "mae"],
        "fit_seconds": 2.5,
        "test_subjects": len(set(scores["subject"])),
        "metrics": {name: {"version": "1", "key": name} for name in metrics},
    }
    return CellResult(status=Status.DONE, scores=scores, estimates=estimates(scores), facts=facts)


def cell(label, task, **changes):
    """Return a cell; its key contains all of its arguments."""
    values = {
        "method": label.partition("[")[0],
        "label": label,
        "task": task,
        "cohort": "tiny",
        "seed": 0,
        "preset": "quick",
        "kind": "phantom",
        "cohort_key": "c0",
        "control": CONTROLS.get(label),
        "question": f"question of {task}",
        **changes,
    }
    return Cell(**{"key": digest(values), **values})


def slices(shade):
    """Two subjects, three slices of 4 by 5 pixels; `shade` is the harmonised one's."""
    shape = (2, 3, 5, 4)
    return {
        "subjects": np.array(["p0", "p1"]),
        "slices": np.arange(3),
        "positions": np.array([-10.0, 0.0, 10.0]),
        "source": np.full(shape, 10, np.uint8),
        "reference": np.full(shape, 200, np.uint8),
        "harmonized": np.full(shape, shade, np.uint8),
    }
