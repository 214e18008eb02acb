"""Commands that fail on some test scans: the others are scored, and the same run tries again."""

from __future__ import annotations

import csv
import io
import json

import pytest

from helpers import TINY_COHORT, words
from helpers.commands import TOML, TOOL, Tool

# MLflow raises deprecation warnings about itself.
pytestmark = pytest.mark.filterwarnings("default")

RUN = (
    *("run", "--plugin", "tool.toml", "-m", "tool", "-m", "identity"),
    *words("-t domain1 --cohort tiny:16"),
    *TINY_COHORT[:2],
)
SCANS = 5
REPEATED = 2  # by the check whether outputs depend on other scans


@pytest.fixture
def tool(tmp_path):
    return Tool(tmp_path)


def row(inside):
    _, out, _ = inside("leaderboard", "--format", "csv", "--metric", "psnr")
    return {row["method"]: row for row in csv.DictReader(io.StringIO(out))}["tool"]


def scores(home):
    """Return the values of the tool by subject, scan, slice and metric."""
    for path in (home / "cells").glob("[!.]*"):
        if json.loads((path / "result.json").read_text())["cell"]["method"] == "tool":
            with (path / "scores.csv").open() as stream:
                return {tuple(row[:4]): row[4] for row in csv.reader(stream)}
    return {}


def test_failing_scans_have_one_message_each_and_are_tried_again(inside, tool, tmp_path):
    tool.fail(0, 3)
    code, out, err = inside(*RUN)
    assert code == 1
    assert out.startswith("2 cells: 2 done")
    messages = [line for line in err.splitlines() if "no brain in this scan" in line]
    assert len(messages) == 2
    assert all("tool on domain1, seed 0: scan p" in line for line in messages)
    assert f"(2 of {SCANS} scans failed)" in err
    assert len(tool.calls) == SCANS + REPEATED
    partial = row(inside)
    assert (partial["status"], partial["subjects"]) == ("partial", str(SCANS - 2))
    _, board, _ = inside("leaderboard")
    assert "no brain in this scan" in board
    assert f"partial, n={SCANS - 2}" in board
    (toml,) = (tmp_path / "home/cells").glob("[!.]*/plugin_tool.toml")
    assert toml.read_text() == TOML
    assert toml.with_name("plugin_tool.py").read_text() == TOOL
    some, bad = scores(tmp_path / "home"), [tool.calls[0], tool.calls[3]]

    tool.fail()
    code, out, _ = inside(*RUN)
    assert (code, out.split(";")[0]) == (0, "2 cells: 1 done, 1 cached")
    assert tool.calls[SCANS + REPEATED :][:2] == bad
    assert len(tool.calls) == SCANS + REPEATED + 2 + REPEATED
    every = scores(tmp_path / "home")
    assert len(some) < len(every)
    assert some.items() <= every.items()
    assert (row(inside)["status"], row(inside)["subjects"]) == ("done", str(SCANS))
    assert inside(*RUN)[1].startswith("2 cells: 2 cached")
    assert not list((tmp_path / "home/cells").glob(".*.outputs"))


def test_a_command_that_fails_on_the_first_scans_is_not_tried_on_the_others(inside, tool):
    tool.fail(*range(SCANS))
    code, out, err = inside(*RUN)
    assert code == 1
    assert out.startswith("2 cells: 1 done, 1 failed")
    assert err.count("no brain in this scan") == 1
    assert len(tool.calls) == 3


def test_a_folder_is_harmonised_scan_by_scan_if_its_command_fails(inside, tmp_path):
    toml = TOML.replace('"{input}", "{output}"', '"{input_folder}", "{output_folder}"')
    tool = Tool(tmp_path, toml)
    tool.fail(1)
    code, _, err = inside(*RUN)
    assert code == 1
    assert err.count("no brain in this scan") == 1
    assert row(inside)["subjects"] == str(SCANS - 1)
