"""A real MLflow store with scores that were chosen so that every number can be checked."""

from __future__ import annotations

import pandas as pd
import pytest

from harmbench.hashing import digest
from harmbench.metrics.aggregate import estimates
from harmbench.run.cell import Cell, CellResult, Status

COLUMNS = ["person", "scan", "slice", "metric", "value"]
PEOPLE = [f"p{i}" for i in range(8)]
CONTROLS = {"identity": "floor", "oracle": "ceiling"}


def scored(**metrics):
    """A finished cell from each person's values, by metric."""
    rows = [
        (person, "1", place, metric, value + step)
        for metric, values in metrics.items()
        for person, value in zip(PEOPLE, values, strict=False)
        # Two slices whose mean is the person's value.
        for place, step in ((0, -0.5), (1, 0.5))
    ]
    scores = pd.DataFrame(rows, columns=COLUMNS)
    facts = {
        "lower_is_better": ["mae"], "headline": ["psnr", "mae"], "fit_seconds": 2.5,
        "test_people": len(set(scores["person"])),
    }  # fmt: skip
    return CellResult(Status.DONE, scores=scores, estimates=estimates(scores), facts=facts)


def cell(label, task, **changes):
    """A cell whose key tells everything in which it differs from others."""
    values = {
        "method": label.partition("[")[0], "label": label, "task": task, "cohort": "tiny",
        "seed": 0, "preset": "quick", "kind": "phantom", "cohort_key": "c0",
        "control": CONTROLS.get(label), **changes,
    }  # fmt: skip
    return Cell(**{"key": digest(values), **values})


@pytest.fixture(scope="module")
def keep_home(tmp_path_factory):
    """Set a home folder of the module's own."""
    with pytest.MonkeyPatch.context() as patch:
        home = tmp_path_factory.mktemp("home")
        patch.setenv("HARMBENCH_HOME", str(home))
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        yield home
