"""One folder of registrations for all tests of a run: to register a brain takes a second."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


def registrations_of_the_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder, which all workers share; another run of the tests has another one."""
    base = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent
    folder = base / "registrations"
    folder.mkdir(exist_ok=True)
    return folder


def share_registrations(folder: Path, home: Path) -> None:
    """Let a home that has no registrations yet use those of a folder.

    A registration is found by the content of its scan, so a test of another scan gets its own.
    """
    home.mkdir(parents=True, exist_ok=True)
    (home / "registrations").symlink_to(folder)
