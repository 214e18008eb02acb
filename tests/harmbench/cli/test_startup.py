"""Light commands start fast: they load none of the heavy libraries."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest

from harmbench.store.results import ResultsStore
from helpers.scored_cells import cell, scored

HEAVY = ("torch", "mlflow", "monai", "pandas", "numpy", "matplotlib", "SimpleITK", "nibabel")


LIGHT = (
    *("list methods", "list tasks", "list metrics", "list cohorts", "list figures"),
    *("figure", "plugins", "completion zsh", "new method mine -o new"),
)


def test_light_commands_import_nothing_heavy(tmp_path, monkeypatch):
    # One process for all, since a module that one command imports stays imported.
    monkeypatch.setenv("HARMBENCH_HOME", str(tmp_path / "home"))
    code = (
        "import sys\n"
        "from harmbench.cli import cli\n"
        f"for line in {LIGHT!r}:\n"
        "    cli.main(line.split(), standalone_mode=False)\n"
        f"    found = [name for name in {HEAVY!r} if name in sys.modules]\n"
        "    assert not found, (line, found)\n"
        "    print('CHECKED', line)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    output = done.stdout
    for line in LIGHT:
        before, _, output = output.partition(f"CHECKED {line}\n")
        assert before.strip(), line


def test_no_help_imports_anything_heavy(tmp_path, monkeypatch):
    monkeypatch.setenv("HARMBENCH_HOME", str(tmp_path))
    code = (
        "import click, sys\n"
        "from harmbench.cli import cli\n"
        "def help_of(command, words):\n"
        "    cli.main([*words, '--help'], standalone_mode=False)\n"
        f"    found = [name for name in {HEAVY!r} if name in sys.modules]\n"
        "    assert not found, (words, found)\n"
        "    print('CHECKED', *words)\n"
        "    for name, part in sorted(getattr(command, 'commands', {}).items()):\n"
        "        help_of(part, [*words, name])\n"
        "help_of(cli, [])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    checked = {line for line in done.stdout.splitlines() if line.startswith("CHECKED")}
    assert {"CHECKED harmonize", "CHECKED store prune", "CHECKED data recipe"} <= checked


def test_the_list_of_fits_imports_nothing_heavy(tmp_path, monkeypatch):
    monkeypatch.setenv("HARMBENCH_HOME", str(tmp_path))
    (tmp_path / "fits" / "3f2a").mkdir(parents=True)
    fit = {"method": "histogram", "domain": "goal", "subjects": ["a"], "preset": "quick", "seed": 0}
    (tmp_path / "fits" / "3f2a" / "fit.json").write_text(json.dumps(fit))
    heavy = tuple(name for name in HEAVY if name != "numpy")
    lines = heavy_imports(["harmonize", "--fits"], heavy)
    assert lines[-1] == "HEAVY []"
    assert "3f2a" in "".join(lines)


@pytest.mark.parametrize("arguments", ["leaderboard", "compare one@a two@a --format csv"])
def test_boards_import_neither_torch_nor_mlflow(arguments, tmp_path, monkeypatch):
    monkeypatch.setenv("HARMBENCH_HOME", str(tmp_path))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with ResultsStore(tmp_path / "results").writer("harmbench run") as writer:
        for label in ("one", "two"):
            writer.append(cell(label, "a"), scored(psnr=np.arange(8.0)))
    lines = heavy_imports(arguments.split(), ("torch", "mlflow", "monai", "matplotlib"))
    assert lines[-1] == "HEAVY []"
    assert len(lines) > 2


def heavy_imports(arguments, names):
    """Call a command in a new process; return its lines, and one with the modules it imported."""
    code = (
        "import sys\n"
        "from harmbench.cli import main\n"
        f"sys.argv = ['harmbench', *{arguments!r}]\n"
        "try:\n    main()\n"
        "finally:\n"
        f"    found = [name for name in {names!r} if name in sys.modules]\n"
        "    print('HEAVY', found)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()
