"""The plugin on the page about hooks, used from the user's folder: each hook is called."""

from __future__ import annotations

import contextlib
import csv
import io
import sys

import pytest

import harmbench.cli
from harmbench import hookspecs
from helpers.command_line import load_plugins_again

# MLflow's own imports raise deprecation warnings.
pytestmark = pytest.mark.filterwarnings("default")


@pytest.fixture(scope="module")
def folder(tmp_path_factory, page, home_with_store):
    """A folder with one finished run of the page's plugin, on the page's own cohort."""
    folder = tmp_path_factory.mktemp("hooks")
    plugins = home_with_store(folder / "home") / "plugins"
    plugins.mkdir()
    (plugins / "of_the_page.py").write_text("\n".join(page("hooks.md").blocks("python")))
    run = ("run", "-m", "square", "-m", "identity", "-t", "darker", "-t", "last")
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(io.StringIO()) as out:
        in_folder(patch, folder, *run, "--cohort", "discs:8")
    assert "4 done" in out.getvalue()
    return folder


def in_folder(patch, folder, *arguments):
    """Run `harmbench ...` in this process, which is faster; return the exit code."""
    for name, value in settings(folder).items():
        patch.setenv(name, value)
    patch.chdir(folder)
    patch.setattr(sys, "argv", ["harmbench", *arguments])
    with pytest.raises(SystemExit) as caught:
        harmbench.cli.main()
    return caught.value.code


def settings(folder):
    """The environment of every command."""
    return {
        "HARMBENCH_HOME": str(folder / "home"),
        "HARMBENCH_STRICT_PLUGINS": "1",
        "OMP_NUM_THREADS": "1",
        "COLUMNS": "200",
    }


@pytest.fixture
def command(folder, monkeypatch, capfd):
    """Run `harmbench ...` in the folder, and return its output."""
    load_plugins_again(monkeypatch)

    def call(*arguments):
        code = in_folder(monkeypatch, folder, *arguments)
        out, err = capfd.readouterr()
        assert code == 0, err
        return out

    return call


def methods(command, folder):
    assert "squares intensities" in command("list", "methods")


def tasks(command, folder):
    listed = command("list", "tasks", "--cohort", "discs")
    assert "darker" in listed
    assert "last" in listed


def metrics(command, folder):
    board = command("leaderboard", "--metric", "brightness", "--format", "csv")
    rows = csv.DictReader(io.StringIO(board))
    value = {row["method"]: float(row["value"]) for row in rows if row["task"] == "darker"}
    assert 0 < value["square"] < value["identity"] < 1


def cohorts(command, folder):
    assert "noisy discs" in command("list", "cohorts")
    assert "on cohort discs [PHANTOM" in command("leaderboard")


def figures(command, folder):
    command("figure", "middle", "--cohort", "discs:8", "-o", "middle.png")
    assert (folder / "middle.png").read_bytes().startswith(b"\x89PNG")


def commands(command, folder):
    assert command("hello") == "hello from the plugin\n"


def before(command, folder):
    lines = (folder / "cells.log").read_text().splitlines()
    started = [line for line in lines if line.startswith("started")]
    assert sorted(set(started)) == [
        "started: identity on darker, seed 0",
        "started: identity on last, seed 0",
        "started: square on darker, seed 0",
        "started: square on last, seed 0",
    ]


def after(command, folder):
    assert "done: square on darker, seed 0" in (folder / "cells.log").read_text().splitlines()


def columns(command, folder):
    heading = next(
        line for line in command("leaderboard").splitlines() if line.startswith("method")
    )
    assert heading.split()[-1] == "cells"


CALLED = {
    "register_methods": methods,
    "register_tasks": tasks,
    "register_metrics": metrics,
    "register_cohorts": cohorts,
    "register_figures": figures,
    "register_commands": commands,
    "before_cell": before,
    "after_cell": after,
    "leaderboard_columns": columns,
}


def test_every_hook_is_called_here():
    hooks = {name for name, value in vars(hookspecs).items() if hasattr(value, "harmbench_spec")}
    assert set(CALLED) == hooks


@pytest.mark.parametrize("hook", CALLED)
def test_the_hook_of_the_page_is_called(hook, command, folder):
    CALLED[hook](command, folder)
