"""`harmbench new`: its packages can be installed, checked, run and tested unchanged."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

TINY = (Path(__file__).parents[2] / "plugins" / "tiny_cohort.py").resolve()
ON_TINY = ("--cohort", "tiny", "--plugin", TINY)
NEEDS = ("nothing", "target", "unpaired", "paired")


def python(*arguments, cwd, **environment):
    return subprocess.run(
        [sys.executable, "-m", *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
        capture_output=True,
        text=True,
        check=False,
    )


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
    code, out, err = inside(*third.split()[1:], *ON_TINY)
    assert code == 0, err
    assert "2 cells: 2 done; 1 fit made" in out
    numbers = {
        found[1]: float(found[2]) for found in re.finditer(r"(\S+) on sim-exp.* psnr (\S+),", err)
    }
    assert numbers["my-method"] > numbers["identity"] + 3

    tested = python("pytest", "-q", "-p", "no:cacheprovider", cwd=tmp_path / "my-method",
                    PYTHONPATH=site)  # fmt: skip
    assert tested.returncode == 0, tested.stdout
    assert re.search(r"15 passed, 2 skipped|16 passed, 1 skipped", tested.stdout)


def test_a_task_from_nothing_to_its_results(inside, install):
    assert inside("new", "task", "my-task", "-o", "elsewhere")[0] == 0
    install("elsewhere")
    code, out, _ = inside("check", "my-task")
    assert code == 0, out
    code, out, err = inside("run", "-m", "identity", "-t", "my-task", *ON_TINY)
    assert code == 0, err
    assert "1 cell: 1 done" in out


def test_the_file_of_code_works_by_itself(inside, tmp_path):
    assert inside("new", "method", "my-method")[0] == 0
    code, out, err = inside(
        "run", "--plugin", tmp_path / "my-method" / "my_method" / "method.py", "-m", "my-method",
        "-t", "sim-exp", *ON_TINY,
    )  # fmt: skip
    assert code == 0, err
    assert "1 cell: 1 done; 1 fit made" in out


@pytest.mark.parametrize("needs", NEEDS)
def test_every_kind_of_method_holds_to_the_contract(inside, tmp_path, needs):
    assert inside("new", "method", f"of-{needs}", "--needs", needs)[0] == 0
    file = tmp_path / f"of-{needs}" / f"of_{needs}" / "method.py"
    assert f"needs = Needs.{needs.upper()}" in file.read_text()
    code, out, _ = inside("check", f"of-{needs}", "--plugin", file)
    assert code == 0, out


def test_what_is_written_is_clean(inside, tmp_path):
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
