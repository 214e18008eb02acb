"""Light commands start fast: they load none of the heavy libraries."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("torch", "mlflow", "monai", "pandas", "numpy", "matplotlib", "SimpleITK", "nibabel")


@pytest.mark.parametrize(
    "arguments",
    [
        "--help",
        "run --help",
        "ablate --help",
        "list methods",
        "list metrics",
        "list cohorts",
        "data show --help",
        "figure",
        "plugins",
        "leaderboard --help",
        "check --help",
        "new --help",
        "new method mine -o {folder}",
        "compare --help",
        "export --help",
        "report --help",
        "ui --help",
        "store --help",
    ],
)
def test_light_commands_import_nothing_heavy(arguments, tmp_path, monkeypatch):
    monkeypatch.setenv("HARMBENCH_HOME", str(tmp_path))
    code = (
        "import sys\n"
        "from harmbench.cli import main\n"
        f"sys.argv = ['harmbench', *{arguments.format(folder=tmp_path / 'new').split()!r}]\n"
        "try:\n    main()\n"
        "finally:\n"
        f"    found = [name for name in {HEAVY!r} if name in sys.modules]\n"
        "    print('HEAVY', found)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "HEAVY []"
    assert len(done.stdout.splitlines()) > 3
