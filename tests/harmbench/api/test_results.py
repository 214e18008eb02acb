"""Tables, boards and comparisons of recorded results."""

from __future__ import annotations

import numpy as np
import pytest

import harmbench
from harmbench import UserError
from helpers.bundles import record
from helpers.scored_cells import SUBJECTS, cell, scored

BASE = np.arange(20.0, 28.0)


@pytest.fixture(scope="module")
def results(keep_home):
    """Results of three methods on one task, and of one on another."""
    gains = {"identity": 0.0, "good": 5.0, "<b>weak</b>": 1.0}
    pairs = [
        (cell(label, "a"), scored(psnr=BASE + gain + 0.1 * np.sin(BASE * gain), mae=1 / BASE))
        for label, gain in gains.items()
    ]
    record(keep_home, *pairs, (cell("identity", "b"), scored(psnr=BASE)))
    return harmbench.results(home=keep_home)


def test_every_number_has_a_row(results):
    frame = results.frame()
    row = frame[(frame["method"] == "good") & (frame["metric"] == "psnr")].iloc[0]
    assert (row["task"], row["status"]) == ("a", "done")
    assert row["low"] < row["value"] < row["high"]
    assert len(frame) == 3 * 2 + 1
    subjects = results.frame("subject")
    chosen = subjects[(subjects["task"] == "b") & (subjects["metric"] == "psnr")]
    assert chosen["subject"].tolist() == SUBJECTS
    assert chosen["value"].tolist() == BASE.tolist()
    with pytest.raises(UserError, match="'slice'"):
        results.frame("slice")


def test_a_board_is_shown_as_table_text_and_html(results):
    board = results.board("psnr")
    assert {*board.frame()["method"]} == {"identity", "good", "<b>weak</b>"}
    assert "good" in repr(board)
    html = board._repr_html_()
    assert "&lt;b&gt;weak" in html
    assert "<b>weak" not in html
    assert results.board().frame()["metric"].unique().tolist() == ["psnr"]
    with pytest.raises(UserError, match="psrn"):
        results.board("psrn")


def test_two_methods_are_compared_by_subject(results):
    frame = results.compare("good", "identity", task="a", metrics=["psnr"])
    assert frame["subjects"].tolist() == [8]
    assert frame["low"][0] < frame["difference"][0] < frame["high"][0]
    assert frame["p"][0] < 0.05
    assert frame.attrs["remarks"]
    with pytest.raises(UserError, match="task="):
        results.compare("good", "identity")


def test_results_are_shown_in_a_notebook(results):
    html = results._repr_html_()
    assert html.count("<table>") >= 2
    assert "&lt;b&gt;weak" in html


def test_an_empty_home_has_no_board(tmp_path):
    empty = harmbench.results(home=tmp_path)
    assert len(empty) == 0
    assert empty.frame().empty
    assert "nothing is recorded" in empty._repr_html_()
    with pytest.raises(UserError, match="nothing is recorded"):
        empty.board()
