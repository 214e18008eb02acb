"""Tasks that test the same scans: a method harmonises each scan once."""

from __future__ import annotations

import csv
import json
import shutil

import pytest

from harmbench.execution.plan.durations import Durations
from helpers import TINY_COHORT, words
from helpers.commands import TOML, Tool

# MLflow raises deprecation warnings about itself.
pytestmark = pytest.mark.filterwarnings("default")

SCANS = 5
SECONDS = 0.25  # that the slow method takes for a scan
REPEATED = 2  # by the check whether outputs depend on other scans
COHORT = (*words("--cohort tiny:16"), *TINY_COHORT[:2])
PLUGIN = """
import time
from pathlib import Path

from harmbench import Instrument, Method, Needs, Task, hookimpl
from harmbench_tasks.domains import choose

FOLDER, SECONDS = Path(__file__).parent, 0.25

class Slow(Method):
    name, summary, needs = "slow", "darkens, and takes its time", Needs.NOTHING

    def forward(self, scans):
        for _ in range(len(scans)):
            time.sleep(SECONDS)
            with (FOLDER / "calls").open("a") as stream:
                stream.write("called\\n")
        return scans.with_images(scans.images * 0.9)

class Drifting(Slow):
    name, summary = "drifting", "gives another output from the third call on"
    calls = 0

    def forward(self, scans):
        self.calls += 1
        return super().forward(scans.with_images(scans.images * (1.0 if self.calls < 3 else 0.8)))

class Domain1(Task):
    headline = ("psnr",)

    def setup(self, cohort, seed):
        return choose(cohort, "domain1")

class Again(Domain1):
    name, summary = "again", "the same scans"

class Unfinished(Domain1):
    name, summary = "unfinished", "fails at the last scan until it is finished"

    def scorer(self, context):
        scorer = super().scorer(context)
        add, self.scans = scorer.add, 0

        def fail(*scans):
            self.scans += 1
            if self.scans == len(context.data.test) and not (FOLDER / "finished").exists():
                raise RuntimeError("not finished yet")
            add(*scans)

        scorer.add = fail
        return scorer

class Gauge(Instrument):
    name, summary = "gauge", "cannot be fitted"

    def fit(self, data, progress):
        raise RuntimeError("no gauge")

class Gauged(Domain1):
    name, summary, instruments = "gauged", "has an instrument that fails", {"gauge": Gauge}

@hookimpl
def register_methods():
    return {"slow": Slow, "drifting": Drifting}

@hookimpl
def register_tasks(sources):
    return {"again": Again, "unfinished": Unfinished, "gauged": Gauged}
"""


@pytest.fixture
def slow(inside, tmp_path):
    """Run the slow method on tasks; return the exit code, the output, and the scans harmonised."""
    (tmp_path / "slow.py").write_text(PLUGIN)
    calls = tmp_path / "calls"

    def run(*tasks, method="slow"):
        before = len(calls.read_text().splitlines()) if calls.exists() else 0
        named = [word for task in tasks for word in ("-t", task)]
        arguments = ("run", "--plugin", "slow.py", "-m", method, *named, *COHORT)
        code, out, err = inside(*arguments)
        return code, out + err, len(calls.read_text().splitlines()) - before

    return run


def stored(home):
    """Return result and scores of each stored cell, by task."""
    cells = {}
    for path in (home / "cells").glob("[!.]*"):
        content = json.loads((path / "result.json").read_text())
        with (path / "scores.csv").open() as stream:
            cells[content["cell"]["task"]] = content, list(csv.reader(stream))
    return cells


def test_each_scan_is_harmonised_once_with_the_same_scores(slow, tmp_path):
    home = tmp_path / "home"
    for task in ("domain1", "again"):
        assert slow(task)[2] == SCANS + REPEATED
    assert not (home / "outputs").exists()
    alone = stored(home)
    shutil.rmtree(home / "cells")
    code, out, calls = slow("domain1", "again")
    assert (code, calls) == (0, SCANS + REPEATED), out
    assert not list((home / "outputs").iterdir())
    together = stored(home)
    assert {task: scores for task, (_, scores) in together.items()} == {
        task: scores for task, (_, scores) in alone.items()
    }
    facts = [together[task][0]["facts"] for task in ("domain1", "again")]
    assert [each["scans_reused"] for each in facts] == [0, SCANS]
    # As when they were computed, not as when they were read.
    first, second = (each["harmonize_seconds_per_scan"] for each in facts)
    assert second == pytest.approx(first)
    # What is foreseen for the next run is the time of a cell that harmonises.
    assert Durations.read(home).scans["slow", "quick"] > SECONDS


def test_outputs_are_kept_until_all_tasks_have_succeeded(slow, tmp_path):
    code, out, calls = slow("unfinished", "domain1")
    # The outputs of the cell that failed were not checked, so they are not used.
    assert (code, calls) == (1, SCANS + SCANS + REPEATED)
    assert "2 cells: 1 done, 1 failed" in out
    (kept,) = (tmp_path / "home/outputs").iterdir()
    assert len(list(kept.glob("cpu/*.npz"))) == SCANS
    (tmp_path / "finished").touch()
    code, out, calls = slow("unfinished", "domain1")
    # Its own outputs, which were not checked.
    assert (code, calls) == (0, REPEATED)
    assert "2 cells: 1 done, 1 cached" in out
    assert not kept.exists()


def test_a_cell_that_failed_harmonises_no_scan_again(slow, tmp_path):
    assert slow("unfinished")[::2] == (1, SCANS)
    (own,) = (tmp_path / "home/cells").glob(".*.outputs")
    (own / "00001.npz").write_bytes(b"damaged")
    (tmp_path / "finished").touch()
    code, out, calls = slow("unfinished")
    assert (code, calls) == (0, 1 + REPEATED), out
    assert not own.exists()
    (result, _) = stored(tmp_path / "home")["unfinished"]
    assert result["facts"]["scans_reused"] == 0
    assert result["facts"]["harmonize_seconds_per_scan"] > SECONDS


@pytest.mark.parametrize("first", ["unfinished", "again"])
def test_a_method_with_state_fails_in_each_task(slow, first):
    code, out, _ = slow(first, "domain1", method="drifting")
    assert code == 1
    assert "2 cells: 2 failed" in out
    assert "drifting on domain1, seed 0: ContractError" in out
    # Its outputs were removed, else the check would find the same ones.
    code, out, _ = slow("domain1", method="drifting")
    assert (code, "ContractError" in out) == (1, True)


def test_a_task_whose_instrument_fails_does_not_hold_up_the_others(slow):
    slow("again")  # now the method is known to be slow, and cells wait for its outputs
    code, out, calls = slow("gauged", "domain1")
    assert (code, calls) == (1, SCANS + REPEATED)
    assert "2 cells: 1 done, 1 failed" in out


COMMAND = (*words("run --plugin tool.toml --plugin slow.py -m tool"), *COHORT)


def test_a_command_on_a_folder_has_the_same_cost_in_all_tasks(inside, tmp_path):
    toml = TOML.replace('"{input}", "{output}"', '"{input_folder}", "{output_folder}"')
    tool = Tool(tmp_path, toml)
    (tmp_path / "slow.py").write_text(PLUGIN)
    assert inside(*COMMAND, "-t", "domain1", "-t", "again")[0] == 0
    assert len(tool.calls) == SCANS + REPEATED
    cells = stored(tmp_path / "home")
    first, second = (
        cells[task][0]["facts"]["harmonize_seconds_per_scan"] for task in ("domain1", "again")
    )
    assert second == pytest.approx(first)


def test_a_command_is_called_once_for_all_tasks(inside, tmp_path):
    tool = Tool(tmp_path)
    (tmp_path / "slow.py").write_text(PLUGIN)
    tool.fail(1)
    code, _, err = inside(*COMMAND, "-t", "domain1", "-t", "again")
    assert code == 1
    # The scan that fails is tried in both cells, the others in one.
    assert len(tool.calls) == SCANS + REPEATED + 1
    assert err.count("(1 of 5 scans failed)") == 2
    tool.fail()
    code, out, _ = inside(*COMMAND, "-t", "domain1", "-t", "again")
    assert (code, out.split(";")[0]) == (0, "2 cells: 2 done")
    # Once more, and the check is made again in the cell that has a new output.
    assert len(tool.calls) == SCANS + REPEATED + 1 + 1 + REPEATED
    assert not list((tmp_path / "home/outputs").iterdir())
    assert not list((tmp_path / "home/cells").glob(".*.outputs"))
