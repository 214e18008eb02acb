"""`harmbench figure`: figures of plugins are listed, drawn from a shared fit, and written."""

from __future__ import annotations

import pytest
from matplotlib import image

from harmbench.leaderboard.figure_names import RESULT_FIGURES
from helpers import PLUGINS, TINY_COHORT

ADDED = [f"--plugin={PLUGINS / name}" for name in ("sample_plugin.py", "odd_methods.py")]
OPTIONS = (*TINY_COHORT, *ADDED)


@pytest.fixture
def draw(inside):
    """Call `harmbench figure ...`, which must succeed, and return its output."""

    def call(*arguments):
        code, out, err = inside("figure", *arguments)
        assert code == 0, err
        return out

    return call


def test_a_figure_is_written_is_not_blank_and_is_the_same_again(draw, tmp_path):
    assert draw("sample-figure", *OPTIONS) == "wrote sample-figure.png\n"
    first = image.imread(tmp_path / "sample-figure.png")
    assert first.shape[:2] == (300, 300)
    assert first[..., :3].std() > 0.1
    draw("sample-figure", *OPTIONS, "-o", "again.png")
    assert (image.imread(tmp_path / "again.png") == first).all()
    draw("sample-figure", "-m", "identity", *OPTIONS, "-o", "other.pdf")
    assert (tmp_path / "other.pdf").read_bytes().startswith(b"%PDF")


def test_the_fit_is_shared_between_figures(draw, tmp_path, monkeypatch):
    monkeypatch.setenv("COUNTS_LOG", str(tmp_path / "fits"))
    for task in ("domain1", "sim-exp"):
        draw("sample-figure", "-m", "counts", "-t", task, *OPTIONS)
    assert (tmp_path / "fits").read_text() == "seed 0\n"


def test_a_network_is_fitted_for_a_figure(draw, tmp_path):
    # Figures are drawn without gradients, and training needs them.
    draw("sample-figure", "-m", "learns", *OPTIONS)
    assert (tmp_path / "sample-figure.png").stat().st_size > 1000


def test_without_a_name_the_figures_are_listed(draw, inside, monkeypatch):
    monkeypatch.setenv("COLUMNS", "150")
    listed = draw("--plugin", PLUGINS / "sample_plugin.py")
    lines = [line.split() for line in listed.splitlines() if line.strip()]
    assert lines[0] == ["name", "method", "summary", "plugin"]
    assert "the first test scan, harmonised" in listed
    papers = inside("list", "figures", "--plugin", PLUGINS / "sample_plugin.py")[1]
    assert listed.startswith(papers)
    names = [line[0] for line in lines[2:]]
    assert names[:4] == ["maps", "sample-figure", "samples", "terms"]
    assert names[-len(RESULT_FIGURES) :] == list(RESULT_FIGURES)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["sampels"], "no figure 'sampels'; did you mean 'samples'?"),
        (["sample-figure", "-o", "a.gif"], "'a.gif' is no name for a figure"),
        (["sample-figure", "-o", "nowhere/a.png"], "no folder 'nowhere' to write the figure to"),
        (["sample-figure", "-m", "darkr"], "no method 'darkr'; did you mean 'darker'?"),
        (["sample-figure", "-t", "sim-*"], "one method and one task"),
        (["sample-figure", "-m", "oracle", "-t", "site-elsewhere"], "needs the paired truth"),
        (["sample-figure", "--seed", "-1"], "Invalid value for '--seed'"),
    ],
)
def test_each_mistake_has_a_one_line_error(mistake, arguments, message):
    assert message in mistake("figure", *arguments, *OPTIONS)


@pytest.mark.parametrize("name", ["differences", "cost-scan"])
def test_a_figure_of_results_is_drawn(ran, inside, tmp_path, name):
    options = ("--task", "domain1", "--metric", "psnr", "--cohort", "tiny", "-o", "board.svg")
    code, out, errors = inside("figure", name, *options)
    assert (code, out) == (0, "wrote board.svg\n"), errors
    assert "<svg" in (tmp_path / "board.svg").read_text()


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("intervals", "--task", "domian1"), "'domian1'"),
        (("differences", "--base", "unknown"), "'unknown'"),
        (("intervals", "--cohort", "other"), "'other'"),
        (("intervals", "--metric", "psrn"), "'psrn'"),
        (("samples", "--metric", "psnr"), "--metric"),
        (("cost-scan", "--base", "identity"), "--base"),
        (("intervals", "--seed", "1"), "--seed"),
        (("biology",), "classify-site-NAME"),
    ],
)
def test_a_mistake_in_a_figure_of_results_is_named(ran, inside, arguments, complaint):
    code, out, errors = inside("figure", *arguments)
    assert (code, out, len(errors.splitlines())) == (2, "", 1)
    assert complaint in errors
