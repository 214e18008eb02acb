"""A user's error gives one line that names object, reason and fix, and exit code 2."""

from __future__ import annotations

import os
import sys

import pytest

import harmbench.cli
from helpers import PLUGINS, TINY_COHORT, words
from helpers.command_line import load_plugins_again

RUN = (*words("run -m identity -t sim-exp"), *TINY_COHORT)

# A command that ends at an unexpected end of its input, or at the user's Ctrl-C.
ENDS = """
import click
from harmbench import hookimpl

@click.command()
@click.argument("error")
def ends(error):
    raise {"eof": EOFError("ended early"), "ctrl-c": KeyboardInterrupt()}[error]

@hookimpl
def register_commands(group):
    group.add_command(ends)
"""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([*RUN, "-m", "identty"], "no method 'identty'; did you mean 'identity'?"),
        ([*RUN, "-t", "sim-ex"], "no task 'sim-ex'; did you mean 'sim-exp'?"),
        ([*RUN, "--cohort", "fantom"], "no cohort 'fantom'; did you mean 'phantom'?"),
        ([*RUN, "--preset", "papr"], "no preset 'papr'; did you mean 'paper'?"),
        ([*RUN, "--set", "identity.a=1"], "no setting of 'identity' 'a'; there are none"),
        (
            [*RUN, "-m", "blindharmony", "--set", "blindharmony.levels=9"],
            "levels=9 halves slices that often, which 72 x 88 do not allow",
        ),
        (
            [*RUN, "-m", "blindcurve", "--set", "blindcurve.levels=9"],
            "error: levels=9 halves slices",
        ),
        (
            [*RUN, "-m", "blindharmony", "--set", "blindharmony.bins=1"],
            "--set blindharmony: bins must be at least 2",
        ),
        (
            [*RUN, "-m", "blindcurve", "--set", "blindcurve.n4_resolution=0"],
            "--set blindcurve: n4_resolution must be positive",
        ),
        ([*RUN, "--device", "cuda:7"], "no device 'cuda:7' on this machine; available: cpu"),
        ([*RUN, "--device", "toaster"], "no device 'toaster'; expected auto, cpu"),
        ([*RUN, "--seed", "-1"], "Invalid value for '--seed'"),
        ([*RUN, "--plugin", "nowhere.py"], "no plugin file 'nowhere.py'"),
        (["run", "-m", "identity"], "missing --task"),
        (["runn"], "No such command 'runn'"),
        (["leaderboard"], "nothing is recorded yet"),
        (["list", "tasks", "--cohort", "bids:/no/such/folder"], "recipe"),
    ],
    ids=lambda value: None if isinstance(value, list) else value[:30],
)
def test_each_mistake_has_a_one_line_error(mistake, arguments, message):
    assert message in mistake(*arguments)


def test_a_home_that_cannot_be_created_is_named(mistake, tmp_path, monkeypatch):
    (tmp_path / "home").write_text("in the way")
    assert f"{tmp_path / 'home'} is not writable" in mistake(*RUN)


def test_a_folder_of_the_home_that_cannot_be_written_to_is_named(mistake, tmp_path, monkeypatch):
    fits = tmp_path / "home" / "fits"
    fits.mkdir(parents=True)
    # Permissions do not stop root, so the answer of the system is replaced.
    access = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: path != fits and access(path, mode))
    assert f"{fits} is not writable" in mistake(*RUN)


def test_an_end_of_file_within_the_program_is_no_interrupt(tmp_path, monkeypatch, capsys):
    (tmp_path / "home" / "plugins").mkdir(parents=True)
    (tmp_path / "home" / "plugins" / "ends.py").write_text(ENDS)
    monkeypatch.setenv("HARMBENCH_HOME", str(tmp_path / "home"))
    load_plugins_again(monkeypatch)
    monkeypatch.setattr(sys, "argv", ["harmbench", "ends", "eof"])
    with pytest.raises(EOFError, match="ended early"):
        harmbench.cli.main()
    assert "interrupted" not in capsys.readouterr().err
    monkeypatch.setattr(sys, "argv", ["harmbench", "ends", "ctrl-c"])
    with pytest.raises(SystemExit, match="130"):
        harmbench.cli.main()
    assert "interrupted" in capsys.readouterr().err


def test_a_suite_says_how_scans_are_prepared_unless_the_command_does(mistake, tmp_path):
    suite = tmp_path / "mine.toml"
    suite.write_text(
        'methods = ["identity"]\ntasks = ["sim-exp"]\ncohort = "tiny"\n'
        'brain_extraction = "hd-bet"\nno_brain_mask = true\n'
    )
    run = ("run", "--suite", suite, "--plugin", PLUGINS / "tiny_cohort.py", "--dry-run")
    assert "leave out --no-brain-mask or --brain-extraction hd-bet" in mistake(*run)
    said = mistake(*run, "--brain-extraction", "none")
    assert "'tiny' is not prepared from volumes: leave out --no-brain-mask" in said
