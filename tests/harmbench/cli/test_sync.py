"""`harmbench sync`, as a user calls it."""

from __future__ import annotations

import shutil

import pytest

from harmbench.store.results import ResultsStore
from harmbench.tracking.reader import runs
from helpers import TINY_COHORT

# MLflow's imports raise deprecation warnings.
pytestmark = pytest.mark.filterwarnings("default")


def test_a_lost_results_store_is_made_again_from_the_stored_cells(inside, tmp_path):
    home = tmp_path / "home"
    code, _, errors = inside("run", "-m", "identity", "-m", "oracle", "-t", "domain1", *TINY_COHORT)
    assert code == 0, errors
    before = runs(home)
    shutil.rmtree(home / "results")
    assert runs(home).empty
    code, out, _ = inside("sync")
    assert (code, out) == (
        0,
        "2 stored cells had no record and now have one\n0 cells recorded in MLflow, 0 waiting\n",
    )
    after = runs(home)
    columns = ["run_id", "label", "psnr", "psnr.subjects", "device"]
    one, other = (
        table.sort_values("label")[columns].reset_index(drop=True) for table in (before, after)
    )
    assert one.equals(other)
    # The results are as old as they were.
    assert (after["started"] <= before["started"].max()).all()
    assert inside("sync")[1] == "0 cells recorded in MLflow, 0 waiting\n"
    assert len(ResultsStore(home / "results").ids()) == 2
