"""The table of results: which record of a cell counts, and which columns it has."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from harmbench.contracts.cell import CellResult, Status
from harmbench.store.record import Record, head_of, id_of, record_of
from harmbench.store.result_table import RecordedRuns, to_table
from helpers.scored_cells import cell, scored

BASE = np.arange(20.0, 28.0)
FAILED = CellResult(status=Status.FAILED, reason="boom")


def record(result, started, label="some", user="me", **changes) -> Record:
    which = cell(label, "a", **changes)
    head = head_of(which, result)
    made = record_of(which, result, head, id_of(head), "harmbench run")
    return replace(made, started=started, user=user)


def at(value):
    return scored(psnr=BASE - BASE.mean() + value)


def shown(own, others=()):
    runs = RecordedRuns(to_table(own), to_table(others)).runs()
    return [(row["user"], row["status"], row.get("psnr")) for row in runs.to_dict("records")]


def test_the_newest_complete_record_of_a_cell_counts():
    assert shown([record(at(1.0), 1), record(at(2.0), 2)]) == [("me", "done", 2.0)]
    assert shown([record(at(1.0), 1), record(FAILED, 2)]) == [("me", "done", 1.0)]
    later = [record(FAILED, 1), record(at(3.0), 2)]
    assert shown(later) == [("me", "done", 3.0)]
    skipped = CellResult(status=Status.SKIPPED, reason="no pairs")
    assert [row[1] for row in shown([record(at(1.0), 1), record(skipped, 2)])] == ["skipped"]


def test_of_two_stores_the_own_record_counts_unless_only_the_other_is_complete():
    theirs = record(at(2.0), 9, user="another")
    assert shown([record(at(1.0), 1)], [theirs]) == [("me", "done", 1.0)]
    assert shown([record(FAILED, 99)], [theirs]) == [("another", "done", 2.0)]
    apart = record(at(5.0), 3, user="another", label="other")
    assert shown([record(at(1.0), 1)], [theirs, apart]) == [
        ("me", "done", 1.0),
        ("another", "done", 5.0),
    ]


def test_a_result_of_all_scans_goes_before_one_without_some():
    part = at(3.0)
    part = replace(part, facts={**part.facts, "missing": {"p/1": "exit code 1"}})
    assert shown([record(at(1.0), 1), record(part, 2)]) == [("me", "done", 1.0)]
    assert shown([record(part, 1), record(FAILED, 2)]) == [("me", "done", 3.0)]
    assert shown([record(part, 1), record(at(1.0), 2)]) == [("me", "done", 1.0)]


def test_a_cell_counts_for_each_cohort_it_belongs_to():
    both = [record(at(1.0), 1, key="k"), record(at(1.0), 2, key="k", cohort="tiny:again")]
    assert len(shown(both)) == 2


def test_metrics_and_headlines_are_those_of_the_table():
    one, two = record(scored(psnr=BASE), 1), record(scored(icc=BASE), 2, label="other")
    runs = RecordedRuns(to_table([one, two]))
    assert (runs.metrics, runs.headlines) == (("icc", "psnr"), ("psnr", "mae"))
    table = runs.runs(["icc"])
    assert "psnr" not in table
    assert math.isnan(table["icc"][0])
    assert table["icc.subjects"][0] == ""
    assert table["icc"][1] == 23.5


def test_an_empty_store_has_an_empty_table():
    runs = RecordedRuns(to_table([]))
    assert runs.runs().empty
    assert (runs.metrics, runs.headlines, runs.provenance()) == ((), (), {})


def test_a_record_of_before_a_column_was_added_has_an_empty_one():
    old = record(at(1.0), 1)
    head = {name: value for name, value in old.head.items() if name not in ("group", "fold")}
    (row,) = RecordedRuns(to_table([replace(old, head=head)])).runs().to_dict("records")
    assert (row["group"], row["fold"], row["psnr"]) == ("", 0, 1.0)
