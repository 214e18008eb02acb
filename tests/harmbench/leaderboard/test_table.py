"""Known scores go into a real store, and every number on the leaderboard is checked."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats

from harmbench.contracts.cell import CellResult, Status
from harmbench.leaderboard.measure import measures
from harmbench.leaderboard.notes import notes
from harmbench.leaderboard.table import boards
from harmbench.leaderboard.tidy import tidy
from harmbench.store.results import ResultsStore
from harmbench.tracking import reader
from helpers.run_tables import row
from helpers.scored_cells import SUBJECTS, cell, scored

BASE = np.arange(20.0, 28.0)
WOBBLE = np.array([0.3, -0.4, 0.2, -0.1, 0.15, -0.25, 0.35, -0.33])
TASKS = ("a", "b", "c")


def at(gain):
    """PSNR and MAE of somebody who gains so much on everybody."""
    return scored(psnr=BASE + gain, mae=0.2 * 10 ** (-np.asarray(gain) / 20) + np.zeros(8))


@pytest.fixture(scope="module")
def store(keep_home):
    """Three tasks; `specialist` did only the one it is best at."""
    writer = ResultsStore(keep_home / "results").writer("harmbench run")
    record = writer.append

    # The same task as it was before, which drew other data for both seeds.
    for seed in (0, 1):
        record(cell("other", "a", seed=seed, question="an older task"), at(50.0))
    for task in TASKS:
        record(cell("identity", task), at(0.0))
        record(cell("oracle", task), scored(psnr=BASE + math.inf, mae=np.zeros(8)))
        record(cell("good", task), at(5.0))
        record(cell("wobbly", task), at(5.0 + WOBBLE))
        weak = at(1.0)
        if task == "a":
            weak.facts["flags"] = {"p1/1": "a T2w head", "p0/1": "empty", "p2/1": "dark"}
        record(cell("weak", task), weak)
        for seed, gain in ((0, 2.0), (1, 4.0)):
            record(cell("seeded", task, seed=seed), at(gain))
    record(cell("specialist", "a"), at(9.0))
    record(cell("specialist", "b"), CellResult(status=Status.SKIPPED, reason="no pairs"))
    # One seed of two failed: there is no number, however good the other.
    record(cell("broken", "a"), at(20.0))
    record(cell("broken", "a", seed=1), CellResult(status=Status.FAILED, reason="boom"))
    # What is not comparable, either: another cohort and another preset.
    record(cell("other", "a", cohort="real", kind="real", cohort_key="c1"), at(50.0))
    record(cell("other", "a", preset="paper"), at(50.0))
    writer.close()
    return keep_home


def on(store, metric="psnr", **wanted):
    runs = reader.runs(store, [metric])
    result = [
        board
        for board in boards(runs, list(measures(runs, {"psnr": {"unit": "dB"}}).values()))
        if all(getattr(board, name) == value for name, value in wanted.items())
    ]
    assert len(result) == 1
    return result[0]


@pytest.fixture(scope="module")
def board(store):
    return on(store, cohort="tiny", preset="quick", edition=0)


def test_means_are_over_subjects_who_are_averaged_over_slices_and_seeds(board):
    values = {label: row(board, label).scores["b"].value for label in ("good", "seeded", "wobbly")}
    assert values == pytest.approx(
        {"good": 28.5, "seeded": 26.5, "wobbly": 28.5 + WOBBLE.mean()}, abs=1e-6
    )
    assert row(board, "oracle").scores["b"].value == math.inf
    assert row(board, "good").scores["b"].subjects.to_dict() == dict(
        zip(SUBJECTS, BASE + 5, strict=True)
    )


def test_intervals_have_the_width_of_students(board):
    score = row(board, "good").scores["a"]
    half = scipy.stats.sem(BASE) * scipy.stats.t.ppf(0.975, 7)
    assert score.n == 8
    # The values are symmetric, so that a correction for skewness leaves the bounds as they are.
    assert (score.low, score.high) == pytest.approx((28.5 - half, 28.5 + half), rel=0.02)


def test_seeds_are_shown_as_spread(board):
    score = row(board, "seeded").scores["a"]
    assert score.by_seed == pytest.approx({0: 25.5, 1: 27.5})
    assert score.spread == pytest.approx(math.sqrt(2))
    assert math.isnan(row(board, "good").scores["a"].spread)


def test_methods_that_share_a_letter_do_not_differ_significantly(board):
    # `specialist` and `broken` lack tasks of the family, so that they are not compared.
    (family,) = board.comparison.families
    assert family.tasks == TASKS
    assert family.labels == ("good", "wobbly", "weak", "seeded")
    assert family.letters == {"good": "a", "wobbly": "a", "seeded": "b", "weak": "c"}
    assert set(family.incomplete) == {"specialist", "broken"}
    assert [family.is_best(label) for label in family.labels] == [True, True, False, False]
    good, wobbly, weak = (family.labels.index(name) for name in ("good", "wobbly", "weak"))
    assert family.p[good, wobbly] > 0.5
    # Constant differences of the same sign: only 2 of 2^8 sign vectors are as extreme.
    assert family.p[good, weak] == pytest.approx(2 / 2**8)
    # In units of the floor's standard deviation between subjects.
    assert family.difference[good, weak] == pytest.approx(4 / BASE.std(ddof=1))
    assert family.gain["weak"].mean == pytest.approx(1)
    assert family.standard_gain["weak"].mean == pytest.approx(1 / BASE.std(ddof=1))


def test_mean_ranks_count_a_missing_task_as_the_last(board):
    # Of six methods; ranks on a, b and c.
    expected = {
        "good": (2 + 1 + 1) / 3,
        "wobbly": (3 + 2 + 2) / 3,
        "seeded": (4 + 3 + 3) / 3,
        "weak": (5 + 4 + 4) / 3,
        "specialist": (1 + 6 + 6) / 3,
        "broken": 6,
    }
    result = {row.label: row.rank.mean for row in board.methods}
    assert result == pytest.approx(expected)
    assert {row.label: row.rank.n for row in board.methods} == {
        "good": 3,
        "wobbly": 3,
        "seeded": 3,
        "weak": 3,
        "specialist": 1,
        "broken": 0,
    }
    assert row(board, "identity").rank is None


def test_the_interval_of_a_mean_rank_resamples_subjects(board):
    weak = row(board, "weak").rank
    assert (weak.low, weak.high) == pytest.approx((13 / 3, 13 / 3))
    good, wobbly = row(board, "good").rank, row(board, "wobbly").rank
    # The subjects are the same on all tasks: the two change places on all or on none.
    assert (good.low, good.high) == pytest.approx((4 / 3, 7 / 3))
    assert (wobbly.low, wobbly.high) == pytest.approx((4 / 3, 7 / 3))


def test_a_method_that_did_only_its_best_task_is_not_above_one_that_did_all(board):
    order = [row.label for row in board.rows]
    assert order == [
        "oracle",
        "good",
        "wobbly",
        "seeded",
        "specialist",
        "weak",
        "broken",
        "identity",
    ]
    assert row(board, "specialist").scores["a"].value > row(board, "good").scores["a"].value
    assert row(board, "specialist").normalized.mean < row(board, "good").normalized.mean


def test_normalized_scores_run_from_the_floor_to_the_ceiling(board, store):
    gone = {"good": 1 - 10**-0.5, "seeded": 1 - 10**-0.3, "specialist": (1 - 10**-0.9) / 3}
    for label, expected in gone.items():
        assert row(board, label).normalized.mean == pytest.approx(expected)
        assert row(board, label).normalized.n == 3
    assert row(board, "broken").normalized.mean == 0
    mae = on(store, "mae", cohort="tiny", preset="quick", edition=0)
    assert not mae.higher_is_better
    assert row(mae, "good").scores["a"].value == pytest.approx(0.2 * 10**-0.25)
    assert row(mae, "good").normalized.mean == pytest.approx(1 - 10**-0.25)
    assert row(mae, "weak").normalized.mean == pytest.approx(1 - 10**-0.05)


def test_tuning_numbers_are_on_a_board_of_their_own(tmp_path):
    home = tmp_path
    writer = ResultsStore(home / "results").writer("harmbench run")
    for split, gain in (("test", 1.0), ("tuning", 2.0)):
        for label in ("identity", "good"):
            writer.append(cell(label, "a", split=split), at(gain))
    writer.close()
    test, tuning = on(home, split="test"), on(home, split="tuning")
    values = [row(board, "good").scores["a"].value for board in (test, tuning)]
    assert values[1] - values[0] == pytest.approx(1)
    assert "TUNING split: validation subjects" in tuning.title
    assert "TUNING" not in test.title


def test_a_rescan_is_the_reference_line_of_its_tasks_and_scores_may_exceed_1(tmp_path):
    home = tmp_path
    writer = ResultsStore(home / "results").writer("harmbench run")
    results = {"identity": 0.0, "rescan": 5.0, "below": 2.0, "above": 8.0}
    for label, gain in results.items():
        writer.append(cell(label, "with-repeats"), at(gain))
    writer.append(
        cell("oracle", "with-repeats"), CellResult(status=Status.SKIPPED, reason="a rescan")
    )
    only_rescan = on(home, "psnr")
    share = {label: 1 - 10 ** (-gain / 10) for label, gain in results.items()}
    for label in ("below", "above"):
        expected = share[label] / share["rescan"]
        assert row(only_rescan, label).normalized.mean == pytest.approx(expected)
    assert row(only_rescan, "above").normalized.mean > 1
    # Of a task without repeats the truth is the reference line; the mean is over both.
    writer.append(cell("oracle", "simulated"), scored(psnr=BASE + math.inf, mae=np.zeros(8)))
    for label in ("identity", "below", "above"):
        writer.append(cell(label, "simulated"), at(results[label]))
    writer.close()
    both = row(on(home, "psnr"), "above").normalized
    assert both.n == 2
    assert both.mean == pytest.approx((share["above"] / share["rescan"] + share["above"]) / 2)
    assert row(only_rescan, "rescan").role == row(only_rescan, "oracle").role == "reference line"


def test_cells_that_are_not_comparable_have_separate_boards(store, board):
    assert "other" not in {row.label for row in board.rows}
    runs = reader.runs(store, ["psnr"])
    result = list(boards(runs, list(measures(runs).values())))
    where = {
        (each.cohort, each.preset, each.edition): {row.label for row in each.rows}
        for each in result
    }
    assert where["real", "quick", 0] == {"other"}
    assert where["tiny", "paper", 0] == {"other"}
    assert where["tiny", "quick", 1] == {"other"}
    assert len({each.title for each in result}) == len(result) == 4
    assert all("PHANTOM" in each.title for each in result if each.kind == "phantom")
    assert [each.edition for each in result if "OLDER test data" in each.title] == [1]


def test_missing_scores_are_blank_counted_and_noted(board):
    assert "c" not in row(board, "specialist").scores
    assert row(board, "specialist").n_scored == 1
    lines = notes(board)
    assert "specialist has 1 of 3 tasks" in lines
    assert "specialist on b: skipped: no pairs" in lines
    assert "broken has 0 of 3 tasks" in lines
    assert "broken on a: failed: boom" in lines
    assert "broken on b, c: not run" in lines
    assert any(line.startswith("a: seeds differ (0 of ") for line in lines)


def test_the_exported_board_has_the_same_numbers(board):
    table = tidy(board).set_index(["method", "task"])
    assert len(table) == len(board.rows) * 3
    assert table.loc[("good", "b"), "value"] == 28.5
    assert table.loc[("good", "b"), "family_letters"] == "a"
    assert table.loc[("weak", "b"), "family_gain"] == pytest.approx(1)
    assert table.loc[("specialist", "c"), "status"] == "not run"
    assert table.loc[("specialist", "a"), "mean_rank"] == pytest.approx(13 / 3)
    assert table.loc[("specialist", "a"), "tasks_known"] == 1


def test_scans_that_a_method_flags_are_named_under_the_board(board):
    assert len(row(board, "weak").scores["a"].flags) == 3
    lines = [note for note in notes(board) if "warns" in note]
    assert lines == ["weak on a: warns of 3 scans (p0/1: empty; p1/1: a T2w head; and 1 more)"]
