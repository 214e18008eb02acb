"""Fixtures of the command line, for this folder."""

from __future__ import annotations

import contextlib
import io
import shutil
import sys

import pytest

import harmbench.cli
from helpers import TINY_COHORT, words
from helpers.command_line import command, inside, mistake, start
from helpers.harmonizing import known, scan, study

__all__ = ["command", "inside", "known", "mistake", "scan", "start", "study"]


@pytest.fixture(scope="session")
def computed(tmp_path_factory, home_with_store):
    """A home with cells of three methods on two tasks, one of them skipped; do not change it."""
    home = home_with_store(tmp_path_factory.mktemp("computed") / "home")
    run = words("run -m identity -m histogram -m oracle -t domain1 -t site-elsewhere")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HARMBENCH_HOME", str(home))
        patch.setattr(sys, "argv", ["harmbench", *run, *map(str, TINY_COHORT)])
        with contextlib.redirect_stdout(io.StringIO()), pytest.raises(SystemExit) as caught:
            harmbench.cli.main()
    assert caught.value.code == 0
    return home


@pytest.fixture
def ran(computed, tmp_path):
    """The home of the test, with the cells of `computed`."""
    return shutil.copytree(computed, tmp_path / "home")
