"""Tables, boards, comparisons and figures of recorded results."""

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


@pytest.mark.parametrize("name", ["intervals", "differences", "scatter"])
@pytest.mark.parametrize("ending", ["png", "svg", "pdf"])
def test_figures_are_saved_for_papers(results, tmp_path, name, ending):
    path = tmp_path / f"figure.{ending}"
    figure = results.figure(name, task="a", metric="psnr")
    figure.savefig(path)
    assert path.stat().st_size > 5000
    texts = [text.get_text() for axes in figure.axes for text in axes.get_yticklabels()]
    if name != "scatter":
        assert "<b>weak</b>" in texts
    if ending == "svg":
        assert "<svg" in path.read_text()


def test_a_notebook_shows_a_figure(results):
    assert results.figure(task="a")._repr_png_().startswith(b"\x89PNG")


def test_the_points_of_a_figure_are_the_subjects(results):
    (axes,) = results.figure("differences", task="a", base="identity").axes
    points = max((line.get_xdata() for line in axes.lines), key=len)
    frame = results.frame("subject")
    psnr = frame[(frame["metric"] == "psnr") & (frame["task"] == "a")]
    wide = psnr.pivot(index="subject", columns="method", values="value")
    expected = np.concatenate(
        [(wide[label] - wide["identity"]).to_numpy() for label in ("good", "<b>weak</b>")]
    )
    assert sorted(points) == pytest.approx(sorted(expected), rel=1e-5)


@pytest.mark.parametrize(
    ("name", "options", "complaint"),
    [
        ("interval", {}, "did you mean 'intervals'"),
        ("intervals", {"task": "c"}, "'c'"),
        ("scatter", {"base": "godo", "task": "a"}, "'godo'"),
    ],
)
def test_an_unknown_figure_task_or_base_is_named(results, name, options, complaint):
    with pytest.raises(UserError, match=complaint):
        results.figure(name, **options)


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
