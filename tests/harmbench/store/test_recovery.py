"""Stored cells without a record are found; others are not."""

from __future__ import annotations

import json
import os

import numpy as np

from harmbench.contracts.cell import Status
from harmbench.store.recovery import unrecorded
from harmbench.store.results import ResultsStore
from harmbench.store.stores import CellStore
from helpers.scored_cells import cell, scored

BASE = np.arange(20.0, 28.0)


def test_stored_cells_without_a_record_are_found(tmp_path):
    cells = CellStore(tmp_path / "cells")
    known, lost, older, damaged = (cell(name, "a") for name in ("one", "two", "three", "four"))
    stored = {
        which.key: cells.save(which, scored(psnr=BASE), None)
        for which in (known, lost, older, damaged)
    }
    with ResultsStore(tmp_path / "results").writer("harmbench run") as writer:
        writer.append(known, stored[known.key])
    path = stored[older.key].folder / "result.json"
    content = json.loads(path.read_text())
    del content["cell"]["cohort_key"]
    path.write_text(json.dumps(content | {"cell": {**content["cell"], "person": "p"}}))
    (stored[damaged.key].folder / "scores.csv").unlink()
    os.utime(stored[lost.key].folder / "result.json", (5.0, 5.0))
    ((which, result, ended),) = unrecorded(tmp_path)
    assert (which, result.status, ended) == (lost, Status.CACHED, 5000)
