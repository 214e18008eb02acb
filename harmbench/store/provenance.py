"""Origin of a result: the command, the versions and the settings."""

from __future__ import annotations

import contextlib
import functools
import platform
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

from harmbench.contracts.cell import Cell
from harmbench.store.columns import AXES

# MLflow accepts parameters of this length.
_LONGEST_SETTING = 500

Texts = Mapping[str, str]


@dataclass(frozen=True)
class Provenance:
    """Command, environment and settings of a result.

    Attributes
    ----------
    command
        The command line; empty if it is not recorded.
    environment
        Versions, the commit of the code and the device; names without a value are left out.
    settings
        All settings of the method, and the parameters that the task drew.
    """

    command: str = ""
    environment: Texts = field(default_factory=dict)
    settings: Texts = field(default_factory=dict)


def command_line() -> str:
    """Return the command line of this process."""
    return " ".join(["harmbench", *sys.argv[1:]])


@functools.cache
def versions() -> Texts:
    """Return the versions of harmbench, torch and Python that run in this process."""
    return {
        "harmbench": version("harmbench"),
        "torch": version("torch"),
        "python": platform.python_version(),
    }


@functools.cache
def commit() -> str:
    """Return the commit of the code of harmbench; empty if it is no git checkout."""
    with contextlib.suppress(OSError, subprocess.CalledProcessError):
        return subprocess.run(
            ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
    return ""


def environment(device: str) -> Texts:
    """Return the versions, the commit and the device of a result of this process."""
    origin = {"commit": commit(), "device": device}
    return {**versions(), **{name: text for name, text in origin.items() if text}}


def settings(cell: Cell) -> Texts:
    """Return the method's settings and the task's parameters; long tables are left out."""
    named = {f"{cell.method}.{name}": value for name, value in cell.settings.items()}
    named |= {
        f"task.{name}": value
        for name, value in cell.parameters.items()
        if isinstance(value, (str, int, float, bool))
    }
    return {
        name: str(value)[:_LONGEST_SETTING]
        for name, value in named.items()
        if value not in (None, "") and name not in AXES
    }
