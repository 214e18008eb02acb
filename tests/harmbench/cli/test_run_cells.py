"""A dry run forecasts what a run then does."""

from __future__ import annotations

import pytest

from helpers import TINY_COHORT, words

pytestmark = pytest.mark.filterwarnings("default")  # MLflow warns of itself


UNREADY = """
from harmbench import SkipCell, Task, hookimpl

class Unready(Task):
    name = "unready"
    summary = "cannot be set up"

    def setup(self, cohort, seed):
        raise KeyError("no such column")

class Refuses(Task):
    name = "refuses"
    summary = "is not for this cohort"

    def setup(self, cohort, seed):
        raise SkipCell("there is nothing to ask")

@hookimpl
def register_tasks(sources):
    return {"unready": Unready, "refuses": Refuses}
"""


def test_a_task_that_cannot_be_set_up_is_forecast_as_failed_with_its_reason(inside, tmp_path):
    plugin = tmp_path / "unready.py"
    plugin.write_text(UNREADY)
    arguments = (
        *words("run -m identity -t sim-exp -t unready -t refuses"),
        "--plugin",
        plugin,
        *TINY_COHORT,
    )
    code, out, _ = inside(*arguments)
    assert code == 1
    assert out == "3 cells: 1 done, 1 skipped, 1 failed; 0 fits made; 3 newly recorded in MLflow\n"
    code, out, _ = inside(*arguments, "--dry-run")
    assert code == 0
    done, failed, skipped, total = out.splitlines()
    assert total == "0 fits and 0 cells to do"
    assert done == "  cached   identity on sim-exp, seed 0"
    assert failed.startswith(
        "  failed   identity on unready, seed 0: the task's set-up failed: KeyError: 'no such"
    )
    assert skipped == "  skipped  identity on refuses, seed 0: there is nothing to ask"


def test_variants_are_forecast_by_their_settings_before_the_cohort_is_prepared(inside, tmp_path):
    _, out, _ = inside(
        *words("run -m histogram -t sim-exp --dry-run --set histogram.quantiles=11"),
        *TINY_COHORT,
    )
    assert out.splitlines() == [
        "1 cell to do, after preparing the cohort 'tiny' (quick grid):",
        "  to do    histogram[quantiles=11] on sim-exp, seed 0",
    ]
    assert not (tmp_path / "home" / "cohorts").exists()
