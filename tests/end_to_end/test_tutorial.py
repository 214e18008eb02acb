"""The tutorial, followed from an empty folder: its commands run exactly as printed."""

from __future__ import annotations

import os
import re
import shutil
import site
import subprocess
import sys
import time
from pathlib import Path

import pytest

# Programs of a reader who has installed harmbench.
SCRIPTS = ("harmbench", "pip", "pytest")
MINUTES = 5


@pytest.fixture
def shell(tmp_path):
    """A shell in an empty folder, with a new virtual environment.

    The environment uses the packages of the current one, so that nothing is downloaded; it is
    deleted after the test.
    """
    folder = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    binaries = folder / "bin"
    (packages,) = folder.glob("lib/python*/site-packages")
    site_packages = [path for path in site.getsitepackages() if Path(path).is_dir()]
    (packages / "current.pth").write_text(
        "".join(f"import site; site.addsitedir({path!r})\n" for path in site_packages)
    )
    for name in SCRIPTS:
        script = Path(sys.executable).with_name(name).read_text().splitlines(keepends=True)
        script[0] = f"#!{binaries / 'python'}\n"
        (binaries / name).write_text("".join(script))
        shutil.copymode(Path(sys.executable).with_name(name), binaries / name)
    work = tmp_path / "empty"
    work.mkdir()
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("PYTEST")},
        "PATH": f"{binaries}:{os.environ['PATH']}",
        "HARMBENCH_HOME": str(tmp_path / "home"),
        "COLUMNS": "100",
        "PIP_NO_INDEX": "1",
        # In this variable, pip expects 0 for --no-build-isolation.
        "PIP_NO_BUILD_ISOLATION": "0",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    }

    def run(code: str) -> str:
        done = subprocess.run(
            ["bash", "-eu", "-c", code], cwd=work, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, f"{code}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    return run


def numbers(board: str) -> dict[str, float]:
    """The first number of each row of a leaderboard."""
    rows = re.findall(r"^([a-z]\S*).*? (\d+\.\d\d)\b", board, re.MULTILINE)
    return {label: float(value) for label, value in rows}


@pytest.mark.timeout(900)
def test_the_tutorial_leads_from_an_empty_folder_onto_the_leaderboard(shell, page):
    blocks = page("tutorial.md").blocks("console")
    began = time.monotonic()
    outputs = {block: shell(block) for block in blocks}
    minutes = (time.monotonic() - began) / 60
    checked = next(text for block, text in outputs.items() if "harmbench check" in block)
    assert "all checks passed" in checked
    board = next(text for block, text in outputs.items() if "harmbench leaderboard" in block)
    assert "PHANTOM" in board
    printed = next(text for text in page("tutorial.md").blocks("text") if "PHANTOM" in text)
    assert "my-method" in numbers(printed)
    assert numbers(board) == pytest.approx(numbers(printed), abs=0.02)
    assert minutes < MINUTES
