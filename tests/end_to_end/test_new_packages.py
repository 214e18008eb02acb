"""Packages written by `harmbench new` can be installed, checked, run and tested unchanged."""

from __future__ import annotations

import re
import sys

import pytest

from helpers import TINY_COHORT
from helpers.command_line import python


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Install a package into a folder of its own, as pip does without a network."""
    before = set(sys.modules)

    def installed(folder):
        options = ("--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check")
        done = python("pip", "install", *options, "--target", "site", f"./{folder}", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        monkeypatch.syspath_prepend(str(tmp_path / "site"))
        return str(tmp_path / "site")

    yield installed
    for name in sys.modules.keys() - before:
        if name.startswith("my_"):
            del sys.modules[name]


def test_a_method_from_nothing_to_its_results(command, inside, install, tmp_path):
    code, out, _ = inside("new", "method", "my-method")
    assert code == 0
    *_, first, second, third = out.splitlines()
    assert first.strip() == "pip install -e my-method"
    site = install("my-method")

    listed = command("list", "methods", PYTHONPATH=site).stdout
    (row,) = [line for line in listed.splitlines() if "my-method" in line]
    assert row.split()[:2] == ["my-method", "TARGET"]
    code, out, _ = inside(*second.split()[1:])
    assert code == 0, out
    assert "passed           registration" in out
    code, out, err = inside(*third.split()[1:], *TINY_COHORT)
    assert code == 0, err
    assert "2 cells: 2 done; 1 fit made" in out
    numbers = {
        result[1]: float(result[2])
        for result in re.finditer(r"(\S+) on sim-exp.* psnr (\S+),", err)
    }
    assert numbers["my-method"] > numbers["identity"] + 3

    tested = python(
        "pytest", "-q", "-p", "no:cacheprovider", cwd=tmp_path / "my-method", PYTHONPATH=site
    )
    assert tested.returncode == 0, tested.stdout
    assert re.search(r"16 passed, 3 skipped|17 passed, 2 skipped", tested.stdout)


def test_a_task_from_nothing_to_its_results(inside, install):
    assert inside("new", "task", "my-task", "-o", "elsewhere")[0] == 0
    install("elsewhere")
    code, out, _ = inside("check", "my-task")
    assert code == 0, out
    code, out, err = inside("run", "-m", "identity", "-t", "my-task", *TINY_COHORT)
    assert code == 0, err
    assert "1 cell: 1 done" in out
