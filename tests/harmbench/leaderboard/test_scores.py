"""Scores of one task: which runs count, how folds are pooled, and what is missing."""

from __future__ import annotations

import math

import numpy as np
import pytest

from harmbench.leaderboard.measure import measures
from harmbench.leaderboard.notes import notes
from harmbench.leaderboard.ranking_options import RankingOptions
from harmbench.leaderboard.table import boards
from harmbench.leaderboard.text import board_table
from helpers.run_tables import boards_of, row, table_of


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


def test_numbers_of_several_versions_of_a_method_s_code_are_named():
    cells = [
        {"label": label, "task": task, "question": task, "code": code}
        for label, codes in {"one": "xxy", "two": "xxx", "old": ("", "", "")}.items()
        for task, code in zip("abc", codes, strict=True)
    ]
    (group,) = boards_of(table_of(*cells)).values()
    lines = [line for line in notes(group) if "versions of its code" in line]
    assert [line[: line.index(";")] for line in lines] == [
        "one: numbers of 2 versions of its code (a, b | c)"
    ]
    parts = [{"label": "one", "seed": seed, "code": code} for seed, code in enumerate("xy")]
    (board,) = boards_of(table_of(*parts)).values()
    assert any("2 versions of its code (a)" in line for line in notes(board))


def test_the_folds_of_a_method_are_pooled_over_their_subjects():
    def fold(number, subjects, values, **changes):
        return {
            "label": "one",
            "split": "2 folds",
            "fold": number,
            "question": f"fold {number}",
            "subjects": subjects,
            "psnr.subjects": values,
            **changes,
        }

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
        "incomplete",
        "fold 2 of 2 of seed 0 was not run",
    )
    assert "2 folds" in board.title
    # A newer run of one fold replaces that fold alone.
    (board,) = boards_of(table_of(*parts, fold(2, '["r", "s"]', "34,36"))).values()
    assert row(board, "one").scores["a"].value == 28


def test_a_fold_that_every_method_skips_has_no_test_subject():
    def fold(label, number, **changes):
        return {
            "label": label,
            "split": "2 folds",
            "fold": number,
            "question": f"f{number}",
            **changes,
        }

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
        ("one", ""),
        ("two", ""),
        ("one[alpha=1]", "variant"),
    ]
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
            "label": label,
            "psnr": value,
            "psnr.subjects": "",
            "diagnostic": "psnr",
            "draws": {"psnr": ",".join(map(str, draws))},
            **changes,
        }

    base = np.linspace(0.5, 0.6, 101)
    # The partial one is first: the draws of each method are its own, in any order.
    runs = table_of(
        accuracy("part", 0.9, base, missing={"q/1": "exit code 1"}),
        accuracy("rescan", 0.55, base, control="ceiling"),
        accuracy("one", 0.75, base + np.linspace(0.1, 0.3, 101)),
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
        "label": "tool",
        "subjects": '["p"]',
        "psnr.subjects": "30",
        "psnr": 30.0,
        "submission": {**names, "missing": ["q/1"]},
    }
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
            "label": "tool",
            "fold": number,
            "split": "2 folds",
            "status": status,
            **numbers,
            "subjects": subjects,
            "psnr.subjects": "19,21" if subjects else "",
            "submission": {"digest": "12345678", "missing": missing},
        }

    runs = table_of(
        fold(1, "done", '["p", "q"]', []),
        fold(2, "skipped", "", ["r/1", "s/1"]),
    )
    score = row(boards_of(runs)["psnr", 0], "tool").scores["a"]
    assert (score.value, score.n, score.status) == (20.0, 2, "partial")
    assert score.reason == "no image of r/1, s/1"
