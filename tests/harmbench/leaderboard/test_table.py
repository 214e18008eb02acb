"""Known scores go into a real store, and every number on the leaderboard is checked."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
import scipy.stats

from harmbench.contracts.cell import CellResult, Status
from harmbench.leaderboard.measure import measures
from harmbench.leaderboard.notes import notes
from harmbench.leaderboard.ranking_options import RankingOptions
from harmbench.leaderboard.table import boards
from harmbench.leaderboard.text import board_table
from harmbench.leaderboard.tidy import tidy
from harmbench.store.results import ResultsStore
from harmbench.tracking import reader
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


def row(board, label):
    return next(row for row in board.rows if row.label == label)


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
        "good": 3, "wobbly": 3, "seeded": 3, "weak": 3, "specialist": 1, "broken": 0,
    }  # fmt: skip
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
        "oracle", "good", "wobbly", "seeded", "specialist", "weak", "broken", "identity",
    ]  # fmt: skip
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


def table_of(*rows):
    defaults = {
        "task": "a", "cohort": "tiny", "cohort_key": "c0", "kind": "phantom", "preset": "quick",
        "target": "", "fit_cohort": "", "fit_cohort_key": "",
        "split": "test", "fold": 0, "family": "scanners", "group": "", "headline": "psnr",
        "normalization": "minmax", "question": "q", "seed": 0, "control": "", "status": "done",
        "reason": "", "flags": {}, "bounds": {}, "draws": {}, "submission": {}, "missing": {},
        "diagnostic": "", "bundle": "",
        "environment": {"torch": "2.13.0"},
        "subjects": '["p", "q"]', "lower_is_better": "",
        "metric_versions": {"psnr": "1"}, "psnr": 20.0, "psnr.low": 19.0, "psnr.high": 21.0,
        "psnr.subjects": "19,21", "new": math.nan, "new.low": math.nan, "new.high": math.nan,
        "new.subjects": "",
    }  # fmt: skip
    return pd.DataFrame(
        {**defaults, "run_id": f"r{n}", "started": n, "method": row["label"], **row}
        for n, row in enumerate(rows)
    )


def boards_of(runs):
    return {
        (board.metric, board.edition): board
        for board in boards(runs, list(measures(runs).values()))
    }


def test_a_new_metric_moves_no_row_of_another_metric():
    both = {"metric_versions": {"psnr": "1", "new": "1"}, "new": 0.5, "new.subjects": "0.4,0.6"}
    before = table_of({"label": "one"}, {"label": "two"})
    after = table_of({"label": "one"}, {"label": "two"}, {"label": "one", **both})
    assert set(boards_of(before)) == {("psnr", 0)}
    later = boards_of(after)
    assert set(later) == {("psnr", 0), ("new", 0)}
    for board in (boards_of(before)["psnr", 0], later["psnr", 0]):
        assert {row.label: row.scores["a"].value for row in board.rows} == {"one": 20, "two": 20}
    assert not row(later["new", 0], "two").scores["a"].has_value


def test_another_version_of_a_metric_has_a_board_of_its_own():
    other = {"label": "two", "metric_versions": {"psnr": "2"}}
    by_edition = boards_of(table_of({"label": "one"}, other))
    labels = {key: [row.label for row in board.rows] for key, board in by_edition.items()}
    assert labels == {("psnr", 0): ["two"], ("psnr", 1): ["one"]}


def test_a_later_success_with_other_code_replaces_a_failure():
    failure = {"status": "failed", "reason": "boom", "psnr": math.nan, "psnr.subjects": ""}
    runs = table_of({"label": "one", **failure, "metric_versions": {}}, {"label": "one"})
    (board,) = boards_of(runs).values()
    assert row(board, "one").scores["a"].value == 20


def test_numbers_of_other_libraries_are_marked():
    other = {"label": "old", "environment": {"torch": "2.12.0"}}
    (board,) = boards_of(table_of({"label": "one"}, {"label": "two"}, other)).values()
    reason = "old on a: computed with torch 2.12.0 instead of 2.13.0"
    assert any(reason in line for line in notes(board))
    marked = [
        line for line in board_table(board, {}, []).as_text(200).splitlines() if "20.00†" in line
    ]
    assert [line[:3] for line in marked] == ["old"]


def test_the_folds_of_a_method_are_pooled_over_their_subjects():
    def fold(number, subjects, values, **changes):
        return {
            "label": "one", "split": "2 folds", "fold": number, "question": f"fold {number}",
            "subjects": subjects, "psnr.subjects": values, **changes,
        }  # fmt: skip

    parts = [fold(1, '["p", "q"]', "20,22"), fold(2, '["r", "s"]', "30,32")]
    other = [fold(1, '["p", "q"]', "10,10", label="two")]
    (board,) = boards_of(table_of(*parts, *other)).values()
    pooled = row(board, "one").scores["a"]
    assert (pooled.value, pooled.n, pooled.status) == (26, 4, "done")
    assert pooled.seeds == (0,)
    assert set(pooled.runs) == {(0, 1), (0, 2)}
    incomplete = row(board, "two").scores["a"]
    assert not incomplete.has_value
    assert (incomplete.status, incomplete.reason) == (
        "incomplete", "fold 2 of 2 of seed 0 was not run",
    )  # fmt: skip
    assert "2 folds" in board.title
    # A newer run of one fold replaces that fold alone.
    (board,) = boards_of(table_of(*parts, fold(2, '["r", "s"]', "34,36"))).values()
    assert row(board, "one").scores["a"].value == 28


def test_a_fold_that_every_method_skips_has_no_test_subject():
    def fold(label, number, **changes):
        return {"label": label, "split": "2 folds", "fold": number, "question": f"f{number}",
                **changes}  # fmt: skip

    scored = {"subjects": '["p", "q"]', "psnr.subjects": "20,22"}
    skipped = {"status": "skipped", "reason": "no test subject"}
    runs = [fold(label, 1, **scored) for label in ("one", "two")]
    runs += [fold(label, 2, **skipped) for label in ("one", "two")]
    (board,) = boards_of(table_of(*runs)).values()
    assert row(board, "one").scores["a"].value == 21
    # But a fold that only some methods skip is missing from them.
    runs[-1] = fold("two", 2, subjects='["r"]', **{"psnr.subjects": "30"})
    (board,) = boards_of(table_of(*runs)).values()
    assert row(board, "one").scores["a"].status == "skipped"
    assert row(board, "two").scores["a"].value == 24


def test_variants_are_shown_but_ranked_only_on_request():
    runs = table_of(
        {"label": "one"},
        {"label": "two", "psnr": 18.0, "psnr.subjects": "17,19"},
        {"label": "one[alpha=1]", "method": "one", "psnr": 19.0, "psnr.subjects": "18,20"},
    )
    chosen = list(measures(runs).values())
    (plain,) = boards(runs, chosen[:1])
    (asked,) = boards(runs, chosen[:1], options=RankingOptions(variants=True))
    assert [(row.label, row.role) for row in plain.rows] == [
        ("one", ""), ("two", ""), ("one[alpha=1]", "variant"),
    ]  # fmt: skip
    assert row(plain, "two").rank.mean == 2
    assert row(plain, "one[alpha=1]").rank is None
    assert any("--variants" in line for line in notes(plain))
    assert [row.label for row in asked.rows] == ["one", "one[alpha=1]", "two"]
    assert row(asked, "two").rank.mean == 3


def test_a_diagnostic_metric_is_compared_with_the_rescan_and_ranks_nothing():
    near, far = {"psnr.subjects": "20,22", "psnr": 21.0}, {"psnr.subjects": "9,11", "psnr": 10.0}
    runs = table_of(
        {"label": "rescan", "control": "ceiling"},
        {"label": "near", **near},
        {"label": "far", **far},
    )
    declared = {"psnr": {"unit": "", "purpose": "diagnostic"}}
    (board,) = boards(runs, [measures(runs, declared)["psnr"]])
    assert board.comparison is None
    assert all(row.rank is None and not row.ranked for row in board.rows)
    assert {row.label: row.role for row in board.methods} == {"near": "", "far": ""}
    assert row(board, "near").scores["a"].from_reference.mean == 1
    assert row(board, "far").scores["a"].from_reference.mean == -10
    assert row(board, "rescan").scores["a"].from_reference is None
    text = board_table(board, {}, []).as_text(200)
    assert "21.00 Δ+1.0000" in text
    assert "not ranked: a value better than that of a rescan is a fault as well" in text


def test_a_score_exists_only_where_the_reference_line_is_above_the_floor_by_more_than_its_noise():
    def board_with(reference):
        runs = table_of(
            {"label": "identity", "control": "floor"},
            {"label": "rescan", "control": "ceiling", **reference},
            {"label": "one", "psnr": 20.5, "psnr.subjects": "19.5,21.5"},
        )
        (board,) = boards(runs, [measures(runs)["psnr"]])
        return row(board, "one").normalized

    # The rescan's own standard deviation is 1.41.
    assert board_with({"psnr": 21.0, "psnr.subjects": "20,22"}) is None
    assert board_with({"psnr": 18.0, "psnr.subjects": "17,19"}) is None
    assert board_with({"psnr": 22.0, "psnr.subjects": "21,23"}).mean == pytest.approx(0.25)


def test_a_diagnostic_metric_of_the_whole_cohort_is_compared_by_paired_draws():
    def accuracy(label, value, draws, **changes):
        return {
            "label": label, "psnr": value, "psnr.subjects": "", "diagnostic": "psnr",
            "draws": {"psnr": ",".join(map(str, draws))}, **changes,
        }  # fmt: skip

    base = np.linspace(0.5, 0.6, 101)
    runs = table_of(
        accuracy("rescan", 0.55, base, control="ceiling"),
        accuracy("one", 0.75, base + np.linspace(0.1, 0.3, 101)),
        accuracy("part", 0.9, base, missing={"q/1": "exit code 1"}),
    )
    (board,) = boards(runs, [measures(runs)["psnr"]])
    assert not board.measure.ranks
    difference = row(board, "one").scores["a"].from_reference
    assert difference.mean == pytest.approx(0.2)
    assert (difference.low, difference.high) == pytest.approx((0.104, 0.296), abs=0.003)
    assert row(board, "one").rank is None
    # Its draws are of other subjects.
    assert row(board, "part").scores["a"].status == "partial"
    assert row(board, "part").scores["a"].from_reference is None


def test_a_submission_that_lacks_images_is_shown_and_ranks_last():
    names = {"author": "A", "date": "2026-11-28", "reference": "", "digest": "12345678ab"}
    part = {
        "label": "tool", "subjects": '["p"]', "psnr.subjects": "30", "psnr": 30.0,
        "submission": {**names, "missing": ["q/1"]},
    }  # fmt: skip
    runs = table_of({"label": "one"}, part, {"label": "whole", "submission": names})
    board = boards_of(runs)["psnr", 0]
    tool = row(board, "tool").scores["a"]
    assert (tool.value, tool.n, tool.status, tool.counts) == (30.0, 1, "partial", False)
    assert tool.reason == "no image of q/1"
    assert row(board, "tool").rank.mean == 3
    assert board.comparison.families[0].incomplete == ("tool",)
    text = board_table(board, {}, [])
    lines = [field.text for line in text.rows for field in line]
    assert "30.00 partial, n=1" in lines
    assert "whole §" in lines
    assert "one" in lines
    assert "§ whole: submitted, harmonised elsewhere (A, 2026-11-28, images 12345678)" in text.below
    assert "tool on a: partial, shown and not ranked: no image of q/1" in text.below


def test_the_reason_of_a_command_that_failed_on_some_scans_is_shown():
    part = {"label": "tool", "missing": {"q/1": "exit code 1", "r/1": "timeout"}}
    tool = row(boards_of(table_of({"label": "one"}, part))["psnr", 0], "tool").scores["a"]
    assert tool.status == "partial"
    assert tool.reason == "no image of q/1, r/1 (q/1: exit code 1)"


def test_a_fold_without_any_image_leaves_the_scores_of_the_other_folds():
    def fold(number, status, subjects, missing):
        numbers = {"psnr": 20.0 if subjects else math.nan}
        return {
            "label": "tool", "fold": number, "split": "2 folds", "status": status, **numbers,
            "subjects": subjects, "psnr.subjects": "19,21" if subjects else "",
            "submission": {"digest": "12345678", "missing": missing},
        }  # fmt: skip

    runs = table_of(
        fold(1, "done", '["p", "q"]', []),
        fold(2, "skipped", "", ["r/1", "s/1"]),
    )
    score = row(boards_of(runs)["psnr", 0], "tool").scores["a"]
    assert (score.value, score.n, score.status) == (20.0, 2, "partial")
    assert score.reason == "no image of r/1, s/1"
