"""Imported results share a board, or the axis in which they differ is named."""

from __future__ import annotations

import numpy as np
import pytest

from harmbench.bundles.comparability import board_matches
from harmbench.store.result_table import RecordedRuns
from harmbench.store.results import ResultsStore
from helpers.scored_cells import cell, scored


@pytest.fixture
def table(tmp_path):
    """Return the table of runs of some cells."""

    def build(name, *cells):
        store = ResultsStore(tmp_path / name)
        with store.writer("harmbench run") as writer:
            for which in cells:
                writer.append(which, scored(psnr=np.arange(8.0)))
        return RecordedRuns(store.table()).runs()

    return build


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"cohort_key": "c1"}, "other scans"),
        ({"preset": "paper"}, "preset paper, here quick"),
        ({"split": "5 folds"}, "split 5 folds, here test"),
        ({"normalization": "nyul"}, "normalization nyul, here "),
        ({"cohort": "other"}, "no results on the cohort other"),
        ({"question": "another"}, "another version of the task"),
    ],
)
def test_the_reason_names_the_axis(table, changes, reason):
    present = table("present", cell("a", "t"))
    (match,) = board_matches(table("imported", cell("b", "t", **changes)), present)
    assert (match.shared, match.added) == ((), ())
    assert reason in match.apart["t"]
    assert reason in match.lines[0]


def test_the_same_question_shares_a_board_and_another_task_is_added(table):
    present = table("present", cell("a", "t"))
    (match,) = board_matches(table("imported", cell("b", "t"), cell("b", "new")), present)
    assert (match.shared, match.added, match.apart) == (("t",), ("new",), {})


def test_in_an_empty_home_all_tasks_are_new(table):
    (match,) = board_matches(table("imported", cell("b", "t")), table("present"))
    assert match.added == ("t",)
