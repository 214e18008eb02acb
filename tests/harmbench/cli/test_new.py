"""`harmbench new`: its packages can be installed, checked, run and tested unchanged."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from helpers import TINY_COHORT, words
from helpers.command_line import python

NEEDS = ("nothing", "target", "unpaired", "paired", "sites")


def test_the_file_of_code_works_by_itself(inside, tmp_path):
    assert inside("new", "method", "my-method")[0] == 0
    code, out, err = inside(
        "run",
        "--plugin",
        tmp_path / "my-method" / "my_method" / "method.py",
        *words("-m my-method -t sim-exp"),
        *TINY_COHORT,
    )
    assert code == 0, err
    assert "1 cell: 1 done; 1 fit made" in out


def test_a_method_declares_the_covariates_that_are_named(inside, tmp_path):
    new = ("new", "method", "by-age", "--needs", "sites", "--covariates")
    code, _, err = inside(*new, "age;sex")
    assert code == 2
    assert "'age;sex' is no name of a column" in err
    assert inside(*new, "age, sex")[0] == 0
    file = tmp_path / "by-age" / "by_age" / "method.py"
    assert 'covariates = ("age", "sex")' in file.read_text()
    code, out, _ = inside("check", "by-age", "--plugin", file)
    assert code == 0, out


@pytest.mark.parametrize("needs", NEEDS)
def test_every_kind_of_method_holds_to_the_contract(inside, tmp_path, needs):
    assert inside("new", "method", f"of-{needs}", "--needs", needs)[0] == 0
    file = tmp_path / f"of-{needs}" / f"of_{needs}" / "method.py"
    assert f"needs = Needs.{needs.upper()}" in file.read_text()
    code, out, _ = inside("check", f"of-{needs}", "--plugin", file)
    assert code == 0, out


def test_a_command_holds_to_the_contract(inside, tmp_path):
    assert inside("new", "command", "my-tool")[0] == 0
    plugin = tmp_path / "my-tool" / "my-tool.toml"
    checks = words("--only fit --only harmonize --only shape --only store")
    code, out, _ = inside("check", "my-tool", "--plugin", plugin, *checks)
    assert code == 0, out
    assert "all checks passed" in out


def test_generated_files_pass_the_linter(inside, tmp_path):
    for needs in NEEDS:
        inside("new", "method", f"of-{needs}", "--needs", needs)
    inside("new", "task", "my-task")
    (tmp_path / "ruff.toml").write_text("")  # its defaults, whatever lies above
    for arguments in (("check",), ("check", "--select", "I"), ("format", "--check")):
        done = python("ruff", *arguments, "--no-cache", ".", cwd=tmp_path)
        assert done.returncode == 0, done.stdout
    for path in tmp_path.glob("*/pyproject.toml"):
        project = tomllib.loads(path.read_text())["project"]
        (module,) = project["entry-points"]["harmbench"].values()
        assert (path.parent / module / "__init__.py").is_file()
    assert not list(tmp_path.glob("**/*.jinja"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["method", "MyMethod"], "'MyMethod' is not a valid name for a method"),
        (["method", "my_method"], "'my_method' is not a valid name for a method"),
        (["task", "-o", "folder", "class"], "'class' is not a valid name for a task"),
        (["method", "histogram"], "the method 'histogram' already exists in the plugin"),
        (["task", "sim-exp"], "the task 'sim-exp' already exists"),
        (["method", "numpy"], "a Python module 'numpy' already exists"),
        (["method", "mine", "-o", "there"], "'there' already exists"),
        (["method", "mine", "-o", "there/note/deep"], "cannot be written"),
    ],
)
def test_mistakes(mistake, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "note").write_text("mine")
    assert message in mistake("new", *arguments)
    assert [path.name for path in tmp_path.iterdir() if path.name != "home"] == ["there"]
    assert (tmp_path / "there" / "note").read_text() == "mine"


@pytest.mark.slow
def test_a_results_repository_can_be_checked_and_built(ran, inside, tmp_path):
    assert inside("new", "results-repo", "field")[0] == 0
    code, _, _ = inside("publish", "-o", "field/bundles/lab.harmbench.zip")
    assert code == 0
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    done = subprocess.run(
        ["make", "-C", "field", "check", "site"],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "histogram" in (tmp_path / "field" / "site" / "index.html").read_text()
    assert not {"{{", "}}"} & {*(tmp_path / "field" / "README.md").read_text().split()}
    code, _, errors = inside("new", "results-repo", "no name")
    assert (code, len(errors.splitlines())) == (2, 1)
