"""Paths and builders shared by the tests."""

from __future__ import annotations

import shlex
from pathlib import Path

ROOT = Path(__file__).parents[2]
PLUGINS = ROOT / "tests" / "plugins"
RECIPES = ROOT / "tests" / "recipes"
BRAINS = ROOT.parent / "shared" / "brains"
TINY_COHORT = ("--plugin", PLUGINS / "tiny_cohort.py", "--cohort", "tiny")


def words(text: str) -> list[str]:
    """Split a command line into its arguments, as the shell does."""
    return shlex.split(text)
