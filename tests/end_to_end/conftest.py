"""End-to-end tests: installed packages, killed runs, servers and clusters; all are slow."""

from __future__ import annotations

from pathlib import Path

import pytest

from helpers.command_line import command, inside, start
from helpers.pages import page
from helpers.shell import shell

__all__ = ["command", "inside", "page", "shell", "start"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    folder = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(folder):
            item.add_marker(pytest.mark.slow)
