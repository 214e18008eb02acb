"""`harmbench ablate`: a method and its ablations with one fit, next to the paper's table."""

from __future__ import annotations

import csv
import io
import json

import pandas as pd
import pytest

from harmbench.statistics.estimate import mean_interval
from helpers import PLUGINS, TINY_COHORT, words

# MLflow raises deprecation warnings about itself.
pytestmark = pytest.mark.filterwarnings("default")

ABLATED = (*TINY_COHORT, "--plugin", PLUGINS / "ablated_methods.py")


def stored_cells(home):
    """Return the estimate of psnr_slices and each subject's value, by label and task."""
    stored = {}
    for path in (home / "cells").glob("*/result.json"):
        cell = json.loads(path.read_text())
        scores = pd.read_csv(path.with_name("scores.csv"))
        scores = scores[scores["metric"] == "psnr_slices"]
        stored[cell["cell"]["label"], cell["cell"]["task"]] = (
            cell["estimates"]["psnr_slices"],
            scores.groupby("subject")["value"].mean(),
        )
    return stored


def test_variants_share_a_fit_and_the_table_contains_stored_results(inside, tmp_path, monkeypatch):
    log = tmp_path / "fits"
    monkeypatch.setenv("CURVED_LOG", str(log))
    # This cohort has one validation subject, too few for an interval.
    arguments = (*words("ablate curved -t sim-exp -t sim-gamma1.5 --split test"), *ABLATED)
    code, out, err = inside(*arguments, "--format", "csv")
    assert code == 0
    assert "8 cells: 8 done; " in err
    assert "8 newly recorded in MLflow" in err
    # The power acts at inference alone; what is learnt with another lift is another fit.
    assert sorted(log.read_text().splitlines()) == ["lift 0.0", "lift 0.1"]

    stored = stored_cells(tmp_path / "home")
    labels = {
        "Baseline": "curved",
        "power = 1": "curved[power=1]",
        "lift = 0.1": "curved[lift=0.1]",
        "identity": "identity",
    }
    rows = list(csv.DictReader(io.StringIO(out)))
    assert len(rows) == 8
    for row in rows:
        estimate, subjects = stored[labels[row["row"]], row["task"]]
        assert float(row["value"]) == pytest.approx(estimate["mean"])
        assert float(row["value_low"]) == pytest.approx(estimate["low"])
        if row["row"] == "Baseline":
            assert row["difference"] == ""
        else:
            gap = subjects - stored["curved", row["task"]][1]
            assert float(row["difference"]) == pytest.approx(gap.mean())
            low = mean_interval(gap.to_numpy()).low
            assert float(row["difference_low"]) == pytest.approx(low)
    printed = {
        (row["row"], row["task"]): (row["published"], row["published_difference"]) for row in rows
    }
    assert printed["Baseline", "sim-gamma1.5"] == ("30.2", "")
    assert printed["power = 1", "sim-gamma1.5"] == ("20.1", "-10.1")
    assert printed["lift = 0.1", "sim-gamma1.5"] == printed["identity", "sim-exp"] == ("", "")

    code, table, err = inside(*arguments)
    assert "8 cells: 8 cached; 0 fits made; 0 newly recorded" in err
    assert "of curved on cohort tiny [SIMULATED, not real scans], quick" in table
    heading = next(line for line in table.splitlines() if "sim-exp" in line)
    assert heading.split() == ["sim-gamma1.5", "sim-exp"]  # what the paper has comes first
    assert ["psnr_slices", "ours", "paper's", "ours"] in [
        line.split() for line in table.splitlines()
    ]
    value = stored["curved[power=1]", "sim-gamma1.5"][0]["mean"]
    line = next(line for line in table.splitlines() if line.strip().startswith("power = 1"))
    assert line.split()[3:5] == [f"{value:.2f}", "20.1"]
    assert "identity *" in table
    assert "paper's: A paper, Table 9, on other brains: other data than these scans" in table
    assert max(map(len, table.splitlines())) <= 100

    _, board, _ = inside("leaderboard", "--format", "csv", "--plugin", TINY_COHORT[1])
    assert "curved[power=1]" in board


def test_validation_subjects_are_scored_by_default(inside, tmp_path):
    code, out, _ = inside("ablate", "curved", "-t", "sim-exp", *ABLATED)
    assert code == 0
    assert "quick preset, tuning split" in " ".join(out.split())
    cells = [
        json.loads(path.read_text()) for path in (tmp_path / "home" / "cells").glob("*/result.json")
    ]
    assert len(cells) == 4
    assert {cell["cell"]["split"] for cell in cells} == {"tuning"}
    assert {cell["facts"]["test_subjects"] for cell in cells} == {1}
    _, board, _ = inside("leaderboard", "--plugin", TINY_COHORT[1])
    assert "TUNING split: validation subjects" in board


def test_all_subjects_are_scored_with_a_fit_cohort(inside):
    chosen = words(
        "curved -t sim-exp@domain1 --target domain1 --fit-cohort tiny:7-others --dry-run"
    )
    code, out, err = inside("ablate", *chosen, *ABLATED)
    assert code == 0, err
    assert "curved[power=1] on sim-exp@domain1, seed 0" in out
    code, _, err = inside("ablate", *chosen, "--split", "tuning", *ABLATED)
    assert code == 2
    assert "leave out --split tuning" in err


def test_the_tasks_of_the_papers_table_are_run_unless_others_are_asked_for(inside):
    code, out, _ = inside("ablate", "curved", "--dry-run", *ABLATED)
    assert code == 0
    titles = [line.split("to do")[1].strip() for line in out.splitlines()[1:]]
    assert titles[:4] == [
        "curved on sim-gamma1.5, seed 0",
        "curved[power=1] on sim-gamma1.5, seed 0",
        "curved[lift=0.1] on sim-gamma1.5, seed 0",
        "identity on sim-gamma1.5, seed 0",
    ]
    assert len(titles) == 8
    assert "sim-log" in titles[4]


def test_a_variant_that_fails_has_no_number_and_its_reason_below(inside):
    code, table, _ = inside("ablate", "breaks", "-t", "domain1", "--metric", "ssim", *ABLATED)
    assert code == 1
    line = next(line for line in table.splitlines() if line.strip().startswith("power < 0"))
    assert line.split() == ["power", "<", "0", "failed"]
    assert "power < 0 on domain1: failed: RuntimeError: no power below zero" in table
    assert "* control: the floor, for scale." in table


def test_a_metric_without_values_is_reported(inside):
    code, table, _ = inside("ablate", "curved", "-t", "site-elsewhere", *ABLATED)
    assert code == 0
    assert "psnr_slices: no cell has a number" in table


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["identity", "-t", "sim-exp"],
            "method 'identity' names no ablations; methods that do: "
            "blindharmony, blindcurve, curved",
        ),
        (["curvd"], "no method 'curvd'; did you mean 'curved'?"),
        (["curved", "--metric", "psrn"], "no metric 'psrn'; did you mean 'psnr'?"),
        (["bare"], "missing --task: 'bare'"),
        (["misspelt"], "no setting of 'misspelt' 'powr'; did you mean 'power'?"),
        (["mistyped"], "ablation 'no power': mistyped.power=one: expected float"),
        (["curved", "--set", "curved.lift=3"], "curved.lift must be at most 1"),
    ],
)
def test_each_mistake_has_a_one_line_error(mistake, arguments, message):
    assert message in mistake("ablate", *arguments, *ABLATED)
