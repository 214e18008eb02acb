"""Boards laid out from runs with known numbers."""

from __future__ import annotations

import math

import pandas as pd
import pytest

from harmbench.leaderboard.table import boards, directions, tidy


def run(label, task, psnr, **other):
    return {
        "method": label.partition("[")[0],
        "label": label,
        "task": task,
        "cohort": "phantom",
        "cohort_key": "k1",
        "kind": "phantom",
        "preset": "quick",
        "seed": 0,
        "control": {"identity": "floor", "oracle": "ceiling"}.get(label, ""),
        "status": "done",
        "reason": "",
        "started": 1,
        "psnr": psnr,
        "psnr.low": psnr - 1,
        "psnr.high": psnr + 1,
        **other,
    }


def skipped(label, task, reason):
    return run(label, task, math.nan, status="skipped", reason=reason)


def only(rows, **options):
    found = list(boards(pd.DataFrame(rows), {"psnr": True}, **options))
    assert len(found) == 1
    return found[0]


def test_controls_bound_the_table_and_methods_are_ranked_between_them():
    values = {"identity": 20.0, "good": 30.0, "oracle": math.inf, "better": 31.0}
    rows = [run(name, "a", value) for name, value in values.items()]
    board = only(rows)
    assert [label for label, _ in board.rows] == ["oracle", "better", "good", "identity"]
    assert board.controls == {"oracle", "identity"}
    assert dict(board.rows)["oracle"]["a"].value == math.inf


def test_a_missing_task_never_flatters():
    rows = [run("whole", "a", 25.0), run("whole", "b", 10.0), run("part", "a", 40.0),
            skipped("part", "b", "no pairs")]  # fmt: skip
    board = only(rows)
    assert [label for label, _ in board.rows] == ["whole", "part"]
    scores = dict(board.rows)
    assert board.mean(scores["whole"]) == 17.5
    assert math.isnan(board.mean(scores["part"]))
    assert (scores["part"]["b"].status, scores["part"]["b"].reason) == ("skipped", "no pairs")


def test_a_failed_seed_does_not_hide_behind_a_good_one():
    rows = [run("m", "a", 30.0, seed=0),
            run("m", "a", math.nan, seed=1, status="failed", reason="boom"),
            run("n", "a", 20.0)]  # fmt: skip
    score = dict(only(rows).rows)["m"]["a"]
    assert not score.known
    assert (score.status, score.reason) == ("failed", "boom")


def test_seeds_are_averaged():
    score = dict(only([run("m", "a", 30.0, seed=0), run("m", "a", 32.0, seed=1)]).rows)["m"]["a"]
    assert (score.value, score.low, score.high, score.seeds) == (31.0, 30.0, 32.0, 2)


@pytest.mark.parametrize(
    "other", [{"cohort_key": "k2"}, {"preset": "paper"}, {"cohort": "bids:x", "kind": "real"}]
)
def test_what_is_not_comparable_never_shares_a_board(other):
    found = list(boards(pd.DataFrame([run("m", "a", 1.0), run("n", "a", 2.0, **other)]),
                        {"psnr": True}))  # fmt: skip
    assert sorted(label for board in found for label, _ in board.rows) == ["m", "n"]
    assert len(found) == 2


def test_the_newest_answer_to_one_question_counts():
    rows = [run("m", "a", 30.0, started=5), run("m", "a", 10.0, started=9)]
    assert dict(only(rows).rows)["m"]["a"].value == 10.0


def test_tasks_can_be_chosen_and_the_board_exported():
    rows = [run("m", "a", 30.0), run("m", "b", 20.0)]
    table = tidy(only(rows, tasks=["b"]))
    assert table[["method", "task", "value", "low"]].to_numpy().tolist() == [["m", "b", 20.0, 19.0]]


def test_runs_tell_their_metrics_and_the_direction_of_each():
    rows = [run("m", "a", 30.0, lower_is_better="mae,wasserstein", **{"mae": 0.1, "mae.low": 0.0}),
            skipped("n", "a", "no pairs") | {"lower_is_better": ""}]  # fmt: skip
    assert directions(pd.DataFrame(rows)) == {"psnr": True, "mae": False}


def test_nothing_recorded_gives_no_board():
    assert list(boards(pd.DataFrame(), {"psnr": True})) == []
