"""A shell in an empty folder, as a reader of the documentation has it."""

from __future__ import annotations

import os
import shutil
import site
import subprocess
import sys
from pathlib import Path

import pytest

# Programs of a reader who has installed harmbench.
SCRIPTS = ("harmbench", "pip", "pytest")


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
