"""The ranking over families: one vote per family, whatever else is entered."""

from __future__ import annotations

import math
import re

import numpy as np
import pandas as pd
import pytest

from harmbench.leaderboard.groups import grouped
from harmbench.leaderboard.notes import notes, standings_notes
from harmbench.leaderboard.ranking_options import RankingOptions
from harmbench.leaderboard.text import pairs_table, standings_table
from harmbench.leaderboard.tidy import tidy_pairs

SUBJECTS = [f"p{i}" for i in range(12)]
NOISE = np.random.default_rng(0).normal(size=(40, 12))
BASE = np.linspace(18.0, 24.0, 12)
DECLARED = {"psnr": {"unit": "dB", "purpose": "ranking"}}
# Family, group and tasks; then every method's gain on each.
TASKS = {
    "curve-1": ("curves", "global curve"),
    "curve-2": ("curves", "global curve"),
    "field": ("bias", "field"),
    "scanner-1": ("scanners", "scanner-1"),
    "scanner-2": ("scanners", "scanner-2"),
}
GAINS = {
    "steady": dict.fromkeys(TASKS, 3.0),
    "curves-only": {"curve-1": 6.0, "curve-2": 6.0, "field": 0.5, "scanner-1": 0.5, "scanner-2": 1},
    "weak": dict.fromkeys(TASKS, 1.5),
}


def run(label, task, gain, *, family, group, number, **changes):
    """A row of the table of runs; the noise is the subject's and the method's own."""
    noise = 0.2 * NOISE[hash_of(label, task)] if label != "identity" else np.zeros(12)
    values = BASE + gain + noise
    return {
        "run_id": f"r{number}",
        "started": number,
        "label": label,
        "method": label.split("[")[0],
        "task": task,
        "family": family,
        "group": group,
        "cohort": "tiny",
        "cohort_key": "c0",
        "target": "",
        "fit_cohort": "",
        "fit_cohort_key": "",
        "kind": "phantom",
        "preset": "quick",
        "split": "test",
        "normalization": "percentile",
        "question": f"q {task}",
        "seed": 0,
        "fold": 0,
        "control": "floor" if label == "identity" else "",
        "status": "done",
        "reason": "",
        "flags": {},
        "bounds": {},
        "draws": {},
        "submission": {},
        "missing": {},
        "bundle": "",
        "environment": {},
        "code": "",
        "headline": "psnr",
        "lower_is_better": "",
        "diagnostic": "",
        "subjects": str(SUBJECTS).replace("'", '"'),
        "metric_versions": {"psnr": "1"},
        "psnr": values.mean(),
        "psnr.low": math.nan,
        "psnr.high": math.nan,
        "psnr.subjects": ",".join(map(repr, values.tolist())),
        **changes,
    }


def hash_of(*texts):
    return sum(map(ord, "".join(texts))) % len(NOISE)


def table(gains=GAINS, tasks=TASKS):
    cells = [
        (label, task, gain) for label, by_task in gains.items() for task, gain in by_task.items()
    ]
    cells += [("identity", task, 0.0) for task in tasks]
    return pd.DataFrame(
        run(label, task, gain, family=tasks[task][0], group=tasks[task][1], number=number)
        for number, (label, task, gain) in enumerate(cells)
    )


def standings_of(runs, **options):
    (group,) = grouped(runs, ["psnr"], DECLARED, options=RankingOptions(**options))
    return group.standings


def ranks(standings):
    return {row.label: row.rank.mean for row in standings.rows}


def test_every_family_has_one_vote_however_many_tasks_it_has():
    standings = standings_of(table())
    assert standings.families == ("curves", "bias", "scanners")
    by_family = {row.label: row.family_ranks for row in standings.rows}
    assert by_family["curves-only"] == {"curves": 1, "bias": 3, "scanners": 3}
    assert ranks(standings) == pytest.approx({"steady": 4 / 3, "curves-only": 7 / 3, "weak": 7 / 3})
    # By tasks it would be first on two of five, and third on three.
    assert standings.rows[0].label == "steady"
    assert standings.rows[0].rank.n == 5


def test_letters_and_gains_are_those_of_the_family():
    standings = standings_of(table())
    scanners = standings.compared("scanners")
    assert scanners.letters == {"steady": "a", "weak": "b", "curves-only": "c"}
    deviation = BASE.std(ddof=1)
    assert scanners.standard_gain["steady"].mean == pytest.approx(3 / deviation, abs=0.1)
    assert scanners.gain["steady"].mean == pytest.approx(3, abs=0.2)
    text = standings_table(standings, {}).as_text(200)
    assert "LEADERBOARD on cohort tiny [PHANTOM" in text
    assert "percentile normalisation" in text
    first = next(line for line in text.splitlines() if line.startswith("steady"))
    assert first.split()[:2] == ["steady", "1.3"]
    assert "curves: curve-1, curve-2 by psnr" in text


def test_a_floor_without_spread_leaves_gains_without_a_unit():
    # As harm: `identity` has 0 for every subject. The unit is then that of the methods' spread.
    def gains(factor):
        runs = table()
        for index, values in runs["psnr.subjects"].items():
            numbers = np.array([float(value) for value in values.split(",")]) * factor
            if runs.loc[index, "label"] == "identity":
                numbers[:] = 0.0
            runs.loc[index, "psnr.subjects"] = ",".join(map(repr, numbers.tolist()))
            runs.loc[index, "psnr"] = numbers.mean()
        compared = standings_of(runs).compared("scanners")
        return {label: gain.mean for label, gain in compared.standard_gain.items()}

    assert gains(3.0) == pytest.approx(gains(1.0))


def test_variants_of_a_method_change_no_rank_of_another():
    gains = dict(GAINS)
    for k in range(4):
        gains[f"weak[alpha={k}]"] = dict.fromkeys(TASKS, 1.6 + 0.3 * k)
    before, after = standings_of(table()), standings_of(table(gains))
    assert ranks(after) == ranks(before)
    assert after.compared("bias").p == pytest.approx(before.compared("bias").p, nan_ok=True)
    ranked = standings_of(table(gains), variants=True)
    assert len(ranked.rows) == 7
    assert ranks(ranked)["curves-only"] > ranks(before)["curves-only"]


def test_a_near_duplicate_of_a_task_changes_no_rank():
    tasks = TASKS | {f"curve-{k}": ("curves", "global curve") for k in range(3, 9)}
    gains = {
        label: by_task | {f"curve-{k}": by_task["curve-1"] - 0.1 * k for k in range(3, 9)}
        for label, by_task in GAINS.items()
    }
    assert ranks(standings_of(table(gains, tasks))) == ranks(standings_of(table()))


def test_a_missing_cell_ranks_last_only_where_a_rival_has_a_number():
    runs = table()
    missing = (runs["label"] == "steady") & (runs["task"] == "field")
    standings = standings_of(runs[~missing])
    by_family = {row.label: row.family_ranks["bias"] for row in standings.rows}
    assert by_family == {"weak": 1, "curves-only": 2, "steady": 3}
    assert "steady" not in standings.compared("bias").labels
    assert any(
        "bias: not tested" in line and "steady" in line for line in standings_notes(standings)
    )
    without_field = standings_of(runs[(runs["task"] != "field") | (runs["label"] == "identity")])
    assert without_field.families == ("curves", "scanners")
    assert ranks(without_field)["steady"] == pytest.approx(1.5)


def test_weights_change_the_votes_of_families():
    assert standings_of(table(), weights={"curves": 0.0}).rows[-1].label == "curves-only"
    curves = standings_of(table(), weights={"curves": 5.0})
    assert curves.rows[0].label == "curves-only"
    assert any("curves 5" in line for line in standings_notes(curves))


def test_tasks_without_a_headline_metric_have_no_vote_and_are_named():
    runs = table()
    runs.loc[runs["task"] == "field", "headline"] = "other"
    standings = standings_of(runs)
    assert standings.unranked_tasks == ("field",)
    assert standings.families == ("curves", "scanners")


def test_every_pair_has_its_p_value_and_simultaneous_interval():
    standings = standings_of(table())
    pairs = tidy_pairs(standings).set_index(["family", "first", "second"])
    assert len(pairs) == 9
    pair = pairs.loc["scanners", "steady", "curves-only"]
    assert pair["p"] == pytest.approx(2 / 2**12)
    assert pair["standard_low"] < pair["standard_difference"] < pair["standard_high"]
    assert pair["subjects"] == 12
    assert pair["difference"] == pytest.approx(2.25, abs=0.2)
    assert "steady - curves-only" in pairs_table(standings).as_text(200)


def few(n):
    """The table with the first n subjects alone."""
    runs = table()
    values = [",".join(text.split(",")[:n]) for text in runs["psnr.subjects"]]
    return runs.assign(**{"subjects": str(SUBJECTS[:n]).replace("'", '"'), "psnr.subjects": values})


def test_a_board_that_can_resolve_nothing_says_so_first():
    assert standings_notes(standings_of(few(5)))[0].startswith(
        "NO DIFFERENCE CAN BE SIGNIFICANT with 5 test subjects: the smallest possible p is 0.062; "
        "at least 6 subjects are needed"
    )
    equal = {"one": dict.fromkeys(TASKS, 1.0), "two": dict.fromkeys(TASKS, 1.0)}
    first = standings_notes(standings_of(table(equal)))[0]
    assert first.startswith("NO DIFFERENCE IS SIGNIFICANT with 12 test subjects; curves: about ")
    assert "subjects would resolve a difference of 0.5 dB with 80 % power" in first
    assert not standings_notes(standings_of(table()))[0].startswith("NO DIFFERENCE")


def test_equivalence_is_claimed_only_with_a_margin():
    def board_of(gains, **options):
        (group,) = grouped(table(gains), ["psnr"], DECLARED, options=RankingOptions(**options))
        return group.boards[0]

    gains = {"one": dict.fromkeys(TASKS, 1.0), "two": dict.fromkeys(TASKS, 1.05)}
    assert all(family.equivalent is None for family in board_of(gains).comparison.families)
    wide, narrow = (board_of(gains, margin=margin).comparison.families for margin in (1.0, 0.01))
    assert all(family.equivalent[0, 1] for family in wide)
    assert not any(family.equivalent[0, 1] for family in narrow)


def test_the_forecast_of_subjects_is_for_the_stated_margin():
    equal = {"one": dict.fromkeys(TASKS, 1.0), "two": dict.fromkeys(TASKS, 1.0)}

    def forecast(**options):
        (group,) = grouped(table(equal), ["psnr"], DECLARED, options=RankingOptions(**options))
        first = notes(group.boards[0])[0]
        number = re.search(
            r"curves: about (\d+) subjects would resolve a difference of (\S+) dB", first
        )
        return int(number[1]), number[2]

    (usual, half), (strict, tenth) = forecast(), forecast(margin=0.1)
    assert (half, tenth) == ("0.5", "0.1")
    assert strict > 5 * usual or usual == 6
    assert strict > usual


def test_a_task_without_a_vote_changes_no_rank_and_is_named():
    plain = standings_of(table())
    gains = {**GAINS, "weak": {**GAINS["weak"], "unseen": 5.0}}
    runs = table(gains, {**TASKS, "unseen": ("scanners", "unseen")})
    runs["votes"] = ["no" if task == "unseen" else "" for task in runs["task"]]
    standings = standings_of(runs)
    assert ranks(standings) == ranks(plain)
    assert standings.unranked_tasks == ("unseen",)
    (group,) = grouped(runs, ["psnr"], DECLARED, options=RankingOptions())
    (board,) = group.boards
    assert "unseen" in board.tasks
    assert {row.label: row.rank and row.rank.mean for row in board.rows if row.ranked} == ranks(
        plain
    )
    assert "unseen: shown only, without a vote in the ranking" in notes(board)
