"""`harmbench leaderboard`, `compare` and `export` from the shell, on cells that were run."""

from __future__ import annotations

import json

import pandas as pd
import pytest

# MLflow's imports raise deprecation warnings.
pytestmark = pytest.mark.filterwarnings("default")


@pytest.fixture
def board(ran, inside):
    """The command line, in a home with cells of three methods on two tasks, one skipped."""
    return inside


def test_runs_are_shown_compared_and_exported(board, tmp_path, monkeypatch):
    _, shown, _ = board("leaderboard", "--metric", "psnr", "--metric", "wasserstein")
    assert (
        "psnr in dB (higher is better) on cohort tiny [SIMULATED, not real scans], quick preset"
        in shown
    )
    assert "significance" not in shown  # a single ranked method is not tested
    assert (
        "oracle has 1 of 2 tasks\noracle on site-elsewhere: skipped: needs the paired truth"
        in shown
    )
    _, markdown, _ = board("leaderboard", "--metric", "psnr", "--format", "markdown")
    assert "| method | domain1 | score |" in markdown
    assert "- \\* control: reference only, not ranked" in markdown

    _, compared, _ = board("compare", "histogram@domain1", "identity@domain1", "--metric", "psnr")
    assert "A: histogram on domain1 of tiny\nB: identity on domain1 of tiny" in compared
    assert "NO DIFFERENCE CAN BE SIGNIFICANT with 2 test subjects" in compared
    monkeypatch.setenv("COLUMNS", "40")
    _, every, _ = board("compare", "histogram@domain1", "identity@domain1", "--cohort", "ti*")
    assert "gm_wm_contrast_error" in every
    assert "…" not in every
    code, table, _ = board(
        "compare", "histogram@domain1", "identity@domain1", "--format", "csv", "--metric", "psnr"
    )
    (line,) = table.splitlines()[1:]
    assert float(line.split(",")[5]) > 10

    target = tmp_path / "scores.parquet"
    code, out, _ = board("export", "-o", target)
    assert code == 0
    assert "of 5 runs, 1 without scores left out" in out
    table = pd.read_parquet(target)
    assert set(table["label"]) == {"identity", "histogram", "oracle"}
    assert table.groupby("label")["run_id"].nunique()["histogram"] == 2
    dictionary = json.loads((tmp_path / "scores.json").read_text())
    assert dictionary["metrics"]["psnr"]["unit"] == "dB"
    assert dictionary["metrics"]["psnr"]["meaning"]


@pytest.mark.parametrize(
    ("asked", "complaint"),
    [
        (
            ("compare", "histogram@domain1", "histogram@site-elsewhere"),
            "the task is domain1 in A and site-elsewhere in B",
        ),
        (
            ("compare", "histogram@domain1", "identity@domain1", "--metric", "psrn"),
            "no recorded metric 'psrn'; did you mean 'psnr'?",
        ),
        (("export", "-o", "scores.txt"), "must end in .parquet or .csv"),
    ],
)
def test_a_mistake_has_a_one_line_error(board, asked, complaint):
    code, out, errors = board(*asked)
    assert (code, out) == (2, "")
    assert complaint in errors


@pytest.mark.parametrize("asked", [("compare", "a", "b"), ("export", "-o", "scores.csv")])
def test_before_anything_is_recorded_it_is_said(mistake, asked):
    assert "nothing is recorded yet" in mistake(*asked)
