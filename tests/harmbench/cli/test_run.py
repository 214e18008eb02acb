"""`harmbench run` from the shell to the leaderboard, on a tiny cohort."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import signal
import threading

import pytest

from helpers import PLUGINS, TINY_COHORT, words
from helpers.interruption import interrupted, interruptible, wait_for

# MLflow raises deprecation warnings about itself.
pytestmark = pytest.mark.filterwarnings("default")

SAMPLE = ("--plugin", PLUGINS / "sample_plugin.py")
ODD = ("--plugin", PLUGINS / "odd_methods.py")


def test_run_is_recorded_compared_and_answered_from_the_store(inside, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    run = (
        *words("run -m identity -m hist* -m oracle -t domain1 -t site-elsewhere"),
        *TINY_COHORT,
    )
    code, out, err = inside(*run)
    assert code == 0, err
    assert re.fullmatch(
        r"6 cells: 5 done, 1 skipped; \d+ fits? made; 6 newly recorded in MLflow",
        out.strip(),
    )
    assert "oracle on site-elsewhere, seed 0: needs the paired truth" in err

    monkeypatch.setenv("TINY_COHORT_MUST_NOT_BE_PREPARED", "1")
    _, out, err = inside(*run)
    assert re.fullmatch(
        r"6 cells: 5 cached, 1 skipped; \d+ fits? made; 0 newly recorded in MLflow", out.strip()
    )
    assert "histogram on domain1, seed 0: psnr" in err

    _, planned, _ = inside(*run, "--dry-run")
    assert planned.count("cached") == 5
    assert "skipped  oracle on site-elsewhere, seed 0: needs the paired truth" in planned

    # A task without truth has no headline metric: its details are shown on request.
    metrics = ("--metric", "psnr", "--metric", "wasserstein")
    _, board, _ = inside("leaderboard", "--format", "csv", *metrics)
    rows = {
        (row["method"], row["task"], row["metric"]): row
        for row in csv.DictReader(io.StringIO(board))
    }
    assert rows["oracle", "domain1", "psnr"]["value"] == "inf"
    assert float(rows["histogram", "domain1", "psnr"]["value"]) > 10 + float(
        rows["identity", "domain1", "psnr"]["value"]
    )
    assert rows["identity", "site-elsewhere", "wasserstein"]["status"] == "done"
    assert json.loads(inside("leaderboard", "--format", "json")[1])
    _, table, _ = inside("leaderboard")
    assert (
        "psnr in dB (higher is better) on cohort tiny [SIMULATED, not real scans], quick preset"
        in table
    )
    order = [
        line.split()[0]
        for line in table.partition("psnr in dB")[2].splitlines()
        if line.strip().startswith(("oracle", "identity", "histogram"))
    ]
    assert order[:3] == ["oracle", "histogram", "identity"]
    _, _, err = inside("leaderboard", "--cohort", "tinny")
    assert "no recorded cohort 'tinny'; did you mean 'tiny'?" in err
    _, _, err = inside("leaderboard", "--metric", "psrn")
    assert "no recorded metric 'psrn'; did you mean 'psnr'?" in err
    _, markdown, _ = inside("leaderboard", "--format", "markdown", "--metric", "ssim")
    assert "| method | domain1 |" in markdown


def test_before_the_cohort_is_prepared_a_dry_run_prepares_nothing(inside, tmp_path):
    code, planned, errors = inside(
        *words("run -m identity -t sim-* --dry-run"),
        *TINY_COHORT,
        TINY_COHORT_MUST_NOT_BE_PREPARED="1",
    )
    assert code == 0, errors
    assert "10 cells to do, after preparing the cohort 'tiny'" in planned
    assert not (tmp_path / "home" / "cohorts").exists()


def test_one_failure_stops_nothing_and_sets_the_exit_code(inside):
    code, out, errors = inside(
        *words("run -m fails -m identity -t domain1"), *TINY_COHORT, *ODD, COLUMNS="200"
    )
    assert code == 1
    assert re.fullmatch(
        r"2 cells: 1 done, 1 failed; \d+ fits? made; 2 newly recorded in MLflow", out.strip()
    )
    assert "failed   fails on domain1, seed 0: RuntimeError: this method always fails" in errors
    assert "Traceback" not in errors
    assert "fails on domain1: failed: RuntimeError" in inside("leaderboard")[1]


@pytest.fixture
def hanging(tmp_path):
    """A run with a method that hangs, a sign that it does, and a check of the next run."""
    wait, log, fits = (tmp_path / name for name in ("wait", "log", "fits"))
    wait.touch()
    environment = {
        "HANGS_WHILE": str(wait),
        "COUNTS_LOG": str(fits),
        "SAMPLE_PLUGIN_LOG": str(log),
    }
    # Methods that learn nothing come first: identity has ended when the second one hangs.
    methods = words("-m identity -m hangs -m counts")
    run = ("run", *methods, "-t", "domain1", *TINY_COHORT, *ODD, *SAMPLE)

    def check(inside):
        """Only the cell in flight, and what had not begun, is computed by the next run."""
        wait.unlink()
        log.unlink()
        status, out, errors = inside(*run, **environment)
        assert status == 0, errors
        assert re.fullmatch(
            r"3 cells: 2 done, 1 cached; \d+ fits? made; 2 newly recorded in MLflow", out.strip()
        )
        assert fits.read_text() == "seed 0\n"
        assert "before identity on domain1, seed 0" not in log.read_text()
        cells = tmp_path / "home" / "cells"
        assert [path.name for path in cells.glob(".*") if path.is_dir()] == []

    return run, environment, lambda: wait.read_text() == "hanging", check


def assert_says_how_to_continue(errors):
    assert "Traceback" not in errors
    *_, line = errors.splitlines()
    assert line.startswith("interrupted: finished cells are kept; run the same command")


def test_only_the_cell_in_flight_of_an_interrupted_run_is_repeated(inside, hanging):
    run, environment, hangs, check = hanging

    def interrupt():
        wait_for(hangs)
        os.kill(os.getpid(), signal.SIGINT)

    sender = threading.Thread(target=interrupt)
    with interruptible():
        sender.start()
        code, _, errors = inside(*run, **environment)
    sender.join()
    assert code == 130
    assert_says_how_to_continue(errors)
    check(inside)


@pytest.mark.slow  # and the tests of interruptions in `end_to_end` kill in many more places
@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGKILL, -signal.SIGKILL), (signal.SIGINT, 130)], ids=str
)
def test_a_process_that_is_ended_is_continued_by_another(start, inside, hanging, number, code):
    run, environment, hangs, check = hanging
    with interruptible():
        process = start(*run, **environment)
    ended = interrupted(process, hangs, number)
    assert ended.returncode == code
    if number == signal.SIGINT:
        assert_says_how_to_continue(ended.stderr)
    check(inside)


def test_hooks_of_the_file_of_a_plugin_are_called(inside, tmp_path):
    # The page about hooks calls every hook, in `tests/docs/test_hooks.py`.
    log = tmp_path / "log"
    run = ("run", "-m", "darker", "-t", "sample-last", *TINY_COHORT, *SAMPLE)
    assert inside(*run, SAMPLE_PLUGIN_LOG=str(log), COLUMNS="200")[0] == 0
    assert log.read_text().splitlines() == [
        "before darker on sample-last, seed 0",
        "after darker on sample-last, seed 0: done",
    ]


def test_a_broken_plugin_on_the_path_breaks_no_command(inside, command, tmp_path):
    folder = tmp_path / "home" / "plugins"
    folder.mkdir(parents=True)
    (folder / "broken.py").write_text("import nothing_of_this_name\n")
    assert command("--help").returncode == 0
    for arguments in ("list tasks", "run -m identity -t sim-exp"):
        assert inside(*words(arguments), *TINY_COHORT)[0] == 0
    code, shown, _ = inside("plugins", COLUMNS="200")
    assert code == 0
    assert "BROKEN ModuleNotFoundError: No module named 'nothing_of_this_name'" in shown
    code, _, errors = inside("list", "tasks", HARMBENCH_STRICT_PLUGINS="1")
    assert (code, errors.count("\n")) == (2, 1)
    assert "plugin 'broken' is broken" in errors


def test_completion_scripts_are_printed(command):
    assert "_HARMBENCH_COMPLETE" in command("completion", "bash").stdout
    completed = command(
        "run",
        COMP_WORDS="harmbench run -m hist",
        COMP_CWORD="3",
        _HARMBENCH_COMPLETE="bash_complete",
    )
    assert completed.stdout.strip() == "plain,histogram"
