"""Reference values of tasks on boards of several folds."""

from __future__ import annotations

from dataclasses import asdict, replace

import pytest

from harmbench.leaderboard.measure import measures
from harmbench.leaderboard.table import boards
from harmbench.statistics.estimate import Estimate, mean_interval
from harmbench.store.results import ResultsStore
from harmbench.tracking import reader
from helpers.scored_cells import cell, scored


def bound_of(home, *folds):
    """Return the value on the board of a task with a reference value in each fold.

    A fold is an estimate, or values by subject.
    """
    with ResultsStore(home / "results").writer("harmbench run") as writer:
        for fold, measured in enumerate(folds, start=1):
            result = scored(psnr=[20.0 + fold, 22.0 + fold])
            number = asdict(measured) if isinstance(measured, Estimate) else {"subjects": measured}
            facts = {**result.facts, "bounds": {"repeat": {"psnr": number}}}
            writer.append(
                cell("identity", "travel-a", split=f"{len(folds)} folds", fold=fold),
                replace(result, facts=facts),
            )
    runs = reader.read(home).runs()
    (board,) = boards(runs, [measures(runs)["psnr"]])
    return board.bounds["repeat"]["travel-a"]


def test_a_value_of_all_subjects_counts_once_however_many_folds_record_it(tmp_path):
    value = Estimate(32, 20, 44, 2)
    assert bound_of(tmp_path, value, value, value) == value


def test_values_of_the_subjects_of_each_fold_are_pooled(tmp_path):
    pooled = bound_of(tmp_path, Estimate(30, 26, 34, 3), Estimate(34, 31, 37, 1))
    assert (pooled.mean, pooled.n) == (31, 4)
    assert pooled.low == pytest.approx(31 - ((0.75 * 4) ** 2 + (0.25 * 3) ** 2) ** 0.5)


def test_values_by_subject_have_an_interval_though_each_fold_has_one_subject(tmp_path):
    pooled = bound_of(tmp_path, {"p0": 30.0}, {"p1": 32.0}, {"p0": 32.0, "p2": 36.0})
    assert pooled == mean_interval([31, 32, 36])
