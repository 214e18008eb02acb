"""Scores over all targets: the subject's mean over sources and targets, then over subjects."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from harmbench.leaderboard.bounds import Bound, pooled_bounds
from harmbench.leaderboard.measure import measures
from harmbench.leaderboard.notes import notes
from harmbench.leaderboard.pooled import over_targets
from harmbench.leaderboard.registered import with_targets
from harmbench.leaderboard.table import boards
from harmbench.leaderboard.text import board_table
from harmbench.statistics.estimate import Estimate, mean_interval
from harmbench.store.results import ResultsStore
from harmbench.tracking import reader
from helpers.scored_cells import cell, scored

BASE = np.arange(20.0, 28.0)
# Gain of a method by task: two targets of the source a, one of b.
GAINS = {"travel-a": 1.0, "travel-a@x": 3.0, "travel-b": 8.0}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    with ResultsStore(home / "results").writer("harmbench run") as writer:
        record = writer.append
        for task, gain in GAINS.items():
            base, _, target = task.partition("@")
            axes = {"target": target or "own", "group": base, "family": "scanners"}
            record(cell("identity", task, **axes), scored(psnr=BASE))
            record(cell("good", task, **axes), scored(psnr=BASE + gain))
            # The first subject was not scanned on the target x.
            values = (BASE + 2 * gain).tolist()
            record(
                cell("best", task, **axes), scored(psnr=[np.nan, *values[1:]] if target else values)
            )
        record(
            cell("rescan", "travel-a", target="own", group="travel-a", family="scanners"),
            scored(psnr=BASE + 20),
        )
    return reader.read(home).runs()


def board_of(runs):
    (board,) = boards(runs, [measures(runs)["psnr"]])
    return board


def test_the_pooled_score_weighs_sources_and_then_subjects_equally(runs):
    pooled = board_of(runs).pooled["scanners"]
    # Of the first subject travel-a@x counts for no method, since one lacks it.
    of_source_a = np.array([1.0] + [2.0] * 7)
    expected = mean_interval(BASE + (of_source_a + 8) / 2)
    assert pooled["good"].mean == pytest.approx(expected.mean)
    assert pooled["good"].low == pytest.approx(expected.low)
    assert pooled["identity"].mean == pytest.approx(BASE.mean())
    assert "rescan" not in pooled


def test_the_board_shows_the_pooled_column_in_place_of_its_tasks(runs):
    board = board_of(runs)
    table = board_table(board, {}, [])
    assert table.headings[:2] == ["method", "scanners, all targets"]
    assert not {*table.headings} & {*GAINS}
    (note,) = [line for line in notes(board) if "own, x (3 tasks)" in line]
    assert note.startswith("scanners, all targets")


def test_a_board_of_one_target_shows_its_tasks(runs):
    board = board_of(with_targets(runs, ["own"]))
    assert not board.pooled
    assert board_table(board, {}, []).headings[1:3] == ["travel-a", "travel-b"]
    assert over_targets(tuple(board.columns.values()), ["good"]) == {}


def bound(task, subjects):
    value = float(np.mean([*subjects.values()]))
    return Bound(
        estimate=Estimate(value, np.nan, np.nan, len(subjects)),
        subjects=pd.Series(subjects) if task != "of the cohort" else None,
    )


def test_a_reference_value_is_averaged_by_subject_over_the_targets_of_each_source(runs):
    columns = tuple(board_of(runs).columns.values())
    bounds = {
        "repeat": {
            "travel-a": bound("travel-a", {"p0": 30.0, "p1": 33.0}),
            "travel-a@x": bound("travel-a@x", {"p0": 32.0}),
            "travel-b": bound("travel-b", {"p0": 40.0, "p2": 30.0}),
        },
        "agreement": {"travel-a": bound("of the cohort", {"p0": 1.0})},
        "of another family": {"age-a": bound("age-a", {"p0": 1.0})},
    }
    pooled = pooled_bounds(columns, bounds, ["scanners"])["scanners"]
    assert pooled["repeat"].estimate == mean_interval([(31 + 40) / 2, 33, 30])
    assert pooled["repeat"].n_tasks == 3
    assert pooled["agreement"].estimate.mean == 1
    assert math.isnan(pooled["agreement"].estimate.low)
    assert "of another family" not in pooled
