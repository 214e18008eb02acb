"""Figures of recorded results: their points, names and choices, as PNG, SVG and PDF."""

from __future__ import annotations

import numpy as np
import pytest

import harmbench
from harmbench import UserError
from harmbench.contracts.cell import CellResult
from harmbench.contracts.fit_progress import CurvePoint
from harmbench.leaderboard.figure_names import RESULT_FIGURES
from harmbench.store.stores import CellStore
from helpers.bundles import record
from helpers.scored_cells import cell, scored

BASE = np.arange(20.0, 28.0)
METHODS = {"identity": 0.0, "good": 5.0, "<b>weak</b>": 1.0, "slow": 4.0}
FIT_SECONDS = {"good": 100.0, "<b>weak</b>": 0.0, "slow": 1000.0}
COSTS = ("harmonize_seconds_per_scan", "fit_peak_memory_mib", "n_parameters")


@pytest.fixture(scope="module")
def results(keep_home):
    """Results on a task with costs, two of them with curves, and on tasks of biology."""
    pairs = []
    for label, gain in METHODS.items():
        values = {"psnr": BASE + gain + 0.1 * np.sin(BASE * gain), "mae": 1 / BASE}
        result = scored(**values)
        costs = dict.fromkeys(COSTS, 2.0) | {"fit_seconds": FIT_SECONDS.get(label, 0.0)}
        which = cell(label, "a", fit_key=f"fit of {label}" if FIT_SECONDS.get(label) else "")
        result = CellResult(**{**vars(result), "facts": {**result.facts, **costs}})
        if which.fit_key:
            names = ("loss", "validation") if label == "slow" else ("loss",)
            curves = tuple(CurvePoint(k, name, 1 / k) for k in (1, 2, 3) for name in names)
            result = CellResult(**{**vars(result), "curves": curves})
            result = CellStore(keep_home / "cells").save(which, result, None, None)
        pairs.append((which, result))
        biology = {"classify": {"site_accuracy": 0.7}, "order": {"order": gain / 5}}
        for task, scores in biology.items():
            values = {name: np.full(8, value) for name, value in scores.items()}
            pairs.append((cell(label, task), scored(**values)))
    record(keep_home, *pairs)
    return harmbench.results(home=keep_home)


CHOICES = {"task": "a", "metric": "psnr", "base": "identity", "method": "slow"}


@pytest.mark.parametrize("name", list(RESULT_FIGURES))
def test_every_figure_is_saved_for_papers(results, tmp_path, name):
    options = {key: CHOICES[key] for key in RESULT_FIGURES[name].options}
    figure = results.figure(name, **options | ({"metric": "loss"} if name == "training" else {}))
    for ending, start in {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}.items():
        path = tmp_path / f"figure.{ending}"
        figure.savefig(path)
        assert path.read_bytes().startswith(start)
    (axes,) = figure.axes
    assert axes.get_xlabel()
    assert axes.lines


def test_a_notebook_shows_a_figure(results):
    assert results.figure(task="a")._repr_png_().startswith(b"\x89PNG")


def test_the_points_of_a_figure_are_the_subjects(results):
    (axes,) = results.figure("differences", task="a", base="identity").axes
    points = max((line.get_xdata() for line in axes.lines), key=len)
    frame = results.frame("subject")
    psnr = frame[(frame["metric"] == "psnr") & (frame["task"] == "a")]
    wide = psnr.pivot(index="subject", columns="method", values="value")
    others = [label for label in METHODS if label != "identity"]
    expected = np.concatenate([(wide[label] - wide["identity"]).to_numpy() for label in others])
    assert sorted(points) == pytest.approx(sorted(expected), rel=1e-5)
    assert "<b>weak</b>" in [text.get_text() for text in axes.get_yticklabels()]


def test_costs_lie_on_a_logarithmic_axis_with_their_names_and_a_step_line(results):
    (axes,) = results.figure("cost-fit", task="a", metric="psnr").axes
    assert axes.get_xscale() == "log"
    names = {note.get_text(): note.xy for note in axes.texts}
    frame = results.frame()
    psnr = frame[(frame["metric"] == "psnr") & (frame["task"] == "a")].set_index("method")["value"]
    assert names.keys() == FIT_SECONDS.keys()
    for label, (x, y) in names.items():
        # A method without cost is at the tick of 0, to the left of all others.
        assert x == (FIT_SECONDS[label] or 10.0)
        assert y == pytest.approx(psnr[label], rel=1e-5)
    ticks = [text.get_text() for text in axes.get_xticklabels()]
    assert {"0", "100", "1000"} <= {*ticks}
    (front,) = (line for line in axes.lines if line.get_drawstyle() == "steps-post")
    assert list(front.get_xdata()) == [10.0, 100.0]


def test_a_training_curve_is_that_of_its_method(results):
    (axes,) = results.figure("training", method="slow", metric="validation").axes
    (line,) = axes.lines
    assert list(line.get_ydata()) == pytest.approx([1, 1 / 2, 1 / 3], rel=1e-5)
    assert axes.get_ylabel() == "validation"


def test_the_figure_of_biology_is_that_of_the_report(results):
    (axes,) = results.figure("biology").axes
    names = {note.get_text(): note.xy for note in axes.texts}
    assert names["good"] == pytest.approx((0.2, 1.0))
    assert names["<b>weak</b>"] == pytest.approx((0.2, 0.2))


@pytest.mark.parametrize(
    ("name", "options", "complaint"),
    [
        ("interval", {}, "did you mean 'intervals'"),
        ("intervals", {"task": "c"}, "'c'"),
        ("scatter", {"base": "godo", "task": "a"}, "'godo'"),
        ("biology", {"metric": "psnr"}, "metric"),
        ("cost-fit", {"task": "c"}, "'c'"),
        ("training", {}, "good, slow"),
        ("training", {"method": "identity"}, "'identity'"),
        ("training", {"method": "good", "metric": "lost"}, "'lost'"),
        ("training", {"task": "order"}, "order"),
    ],
)
def test_an_unknown_figure_or_choice_is_named(results, name, options, complaint):
    with pytest.raises(UserError, match=complaint):
        results.figure(name, **options)


def test_figures_without_numbers_say_so(tmp_path):
    record(tmp_path, (cell("good", "a"), scored(mae=BASE)))
    alone = harmbench.results(home=tmp_path)
    for name, missing in {"biology": "classify-site", "training": "curves"}.items():
        with pytest.raises(UserError, match=missing):
            alone.figure(name)
