"""All scores as one file, read back by pandas."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from harmbench.contracts.cell import CellResult, Status
from harmbench.errors import UserError
from harmbench.leaderboard.export import export
from harmbench.leaderboard.measure import measures
from harmbench.store.columns import PLACE
from harmbench.store.results import ResultsStore
from harmbench.store.stores import CellStore
from harmbench.tracking import reader
from helpers.scored_cells import SUBJECTS, cell, scored

# pyarrow makes pandas warn.
pytestmark = pytest.mark.filterwarnings("default")


@pytest.fixture(scope="module")
def runs(keep_home):
    """One cell that is in the store of this machine, one that is not, and one skipped."""
    writer = ResultsStore(keep_home / "results").writer("harmbench run")
    store = CellStore(keep_home / "cells")
    exported = cell("here", "exported")
    saved = store.save(exported, scored(psnr=np.arange(8.0), mae=np.full(8, 0.1)), None)
    writer.append(exported, saved)
    writer.append(cell("away", "exported"), scored(psnr=np.arange(8.0)))
    writer.append(cell("never", "exported"), CellResult(status=Status.SKIPPED, reason="no pairs"))
    writer.close()
    table = reader.runs(keep_home)
    return table[table["task"] == "exported"]


@pytest.mark.parametrize("name", ["scores.parquet", "scores.csv"])
def test_every_slice_has_a_row_and_every_column_is_explained(runs, keep_home, tmp_path, name):
    done = export(
        runs,
        measures(runs, {"psnr": {"unit": "dB"}}),
        {"psnr": "noise"},
        keep_home / "cells",
        tmp_path / name,
    )
    assert (done.complete, done.subjects_only, done.left_out) == (1, 1, 1)
    read = pd.read_parquet if name.endswith("parquet") else pd.read_csv
    table = read(tmp_path / name)
    assert len(table) == done.rows == 2 * 8 * 2 + 8
    exported = table[(table["label"] == "here") & (table["metric"] == "psnr")]
    assert exported["slice"].tolist() == [0, 1] * 8
    assert exported["value"].tolist() == [
        value + step for value in range(8) for step in (-0.5, 0.5)
    ]
    away = table[table["label"] == "away"]
    assert dict(zip(away["subject"], away["value"], strict=True)) == dict(
        zip(SUBJECTS, np.arange(8.0), strict=True)
    )
    assert away["slice"].isna().all()
    assert set(table["kind"]) == {"phantom"}
    # What separates two results on the boards separates their rows.
    assert {*PLACE, "family", "target", "code"} <= {*table.columns}
    dictionary = json.loads(done.dictionary.read_text())
    assert list(dictionary["columns"]) == list(table.columns)
    assert all(column["type"] and column["meaning"] for column in dictionary["columns"].values())
    assert dictionary["metrics"]["psnr"] == {
        "unit": "dB",
        "higher_is_better": True,
        "meaning": "noise",
    }
    assert dictionary["metrics"]["mae"]["higher_is_better"] is False
    (missing,) = dictionary["runs"]["without scores"]
    assert (missing["label"], missing["status"], missing["reason"]) == (
        "never",
        "skipped",
        "no pairs",
    )
    assert missing.keys() >= {*PLACE}


def test_each_subjects_mean_alone_can_be_asked_for(runs, keep_home, tmp_path):
    path = tmp_path / "scores.csv"
    export(runs, measures(runs), {}, keep_home / "cells", path, slices=False)
    table = pd.read_csv(path)
    assert len(table) == 8 * 2 + 8
    exported = table[(table["label"] == "here") & (table["metric"] == "psnr")]
    assert exported["value"].tolist() == list(range(8))


def test_a_file_that_cannot_be_written_is_an_error(runs, keep_home, tmp_path):
    cells = keep_home / "cells"
    with pytest.raises(UserError, match=r"must end in .parquet or .csv"):
        export(runs, measures(runs), {}, cells, tmp_path / "scores.xlsx")
    with pytest.raises(UserError, match="cannot be written: No such file"):
        export(runs, measures(runs), {}, cells, tmp_path / "missing" / "scores.csv")
