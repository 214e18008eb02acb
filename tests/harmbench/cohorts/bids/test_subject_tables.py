"""Rows of participants.tsv and sessions.tsv, by the labels of folders."""

from __future__ import annotations

import pytest

from harmbench.cohorts.bids.subject_tables import read_participants, read_sessions
from harmbench.errors import UserError

LABELS = ["0050701", "02", "c"]


def write(tmp_path, *rows, columns="participant_id\tsite"):
    (tmp_path / "participants.tsv").write_text("\n".join((columns, *rows)) + "\n")
    return tmp_path


def test_leading_zeros_and_a_missing_prefix_are_matched_and_reported(tmp_path):
    root = write(tmp_path, "50701\tx", "2\ty", "Sub-C\tz")
    read = read_participants(root, LABELS)
    assert {label: row["site"] for label, row in read.rows.items()} == {
        "0050701": "x",
        "02": "y",
        "c": "z",
    }
    assert read.notes == (
        "participants.tsv spells labels in another way: 50701 for sub-0050701, 2 for sub-02, "
        "C for sub-c",
    )


def test_ambiguous_labels_are_reported_and_not_matched(tmp_path):
    read = read_participants(write(tmp_path, "2\tx", "002\ty"), ["02"])
    assert not read.rows
    assert read.notes[0] == "no row of participants.tsv fits sub-02; it has 2, 002"


def test_rows_and_folders_that_do_not_fit_are_listed_with_a_count(tmp_path):
    root = write(tmp_path, *(f"sub-x{number}\ta" for number in range(8)), "sub-c\tb")
    notes = read_participants(root, LABELS).notes
    listed = "x0, x1, x2, x3, x4 and 3 more"
    assert notes[0] == f"no row of participants.tsv fits sub-0050701, sub-02; it has {listed}"
    assert notes[1].startswith("participants.tsv has rows without a folder: sub-x0, sub-x1")
    assert notes[1].endswith(" and 3 more")


def test_contradictory_rows_are_an_error_and_equal_rows_are_not(tmp_path):
    root = write(tmp_path, "sub-c\tx", "sub-02\ty", "c\tx")
    assert read_participants(root, LABELS).rows["c"]["site"] == "x"
    root = write(tmp_path, "sub-c\tx", "sub-02\ty", "sub-c\tz")
    with pytest.raises(UserError, match="lines 2 and 4 of sub-c contradict .* site, 'x' and 'z'"):
        read_participants(root, LABELS)


def test_a_row_without_a_label_is_an_error(tmp_path):
    with pytest.raises(UserError, match="line 2 has no participant_id"):
        read_participants(write(tmp_path, "\tx"), LABELS)


def test_a_missing_table_is_empty(tmp_path):
    read = read_participants(tmp_path, LABELS)
    assert (read.columns, dict(read.rows), read.notes) == ((), {}, ())


def test_sessions_are_matched_by_their_labels(tmp_path):
    folder = tmp_path / "sub-c"
    folder.mkdir()
    (folder / "sub-c_sessions.tsv").write_text("session_id\tage\nses-1\t40\nses-3\t42\n")
    read = read_sessions(folder, ["01", "02"])
    assert {label: row["age"] for label, row in read.rows.items()} == {"01": "40"}
    assert "sub-c_sessions.tsv has rows without a folder: ses-3" in read.notes
