"""The wheel has all packages, and all files that they read."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile

import pytest

from helpers import ROOT

# The names under which the folders are installed.
PACKAGES = {"harmbench": "harmbench", "methods": "harmbench_methods", "tasks": "harmbench_tasks"}


def tracked(folder):
    """Return the files of a folder that are under version control."""
    done = subprocess.run(
        ["git", "ls-files", "-z", folder], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return [name for name in done.stdout.split("\0") if name and (ROOT / name).exists()]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Build a wheel of a copy, without a network."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    source.mkdir()
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    for name in PACKAGES:
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    options = ("--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check")
    done = subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", *options, "-w", folder, source],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (path,) = folder.glob("harmbench-*.whl")
    with zipfile.ZipFile(path) as archive:
        return set(archive.namelist())


@pytest.mark.parametrize("folder", PACKAGES)
def test_every_file_of_a_package_is_in_the_wheel(wheel, folder):
    expected = {name.replace(folder, PACKAGES[folder], 1) for name in tracked(folder)}
    assert expected
    assert sorted(expected - wheel) == []


def test_nothing_else_is_in_the_wheel(wheel):
    assert {name.split("/")[0].split("-")[0] for name in wheel} == {*PACKAGES.values()}
