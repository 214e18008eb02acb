"""Fixtures of the harness's tests: BIDS folders, homes and one core."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from helpers.volumes import Tree


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    """An empty BIDS folder, with a recipe and a home folder next to it."""
    return Tree(tmp_path / "study")


@pytest.fixture
def one_core() -> Iterator[None]:
    """Prepare in this process, since to start others takes longer than a few small scans."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    cores = os.sched_getaffinity(0)
    # Workers of pytest-xdist, gw0, gw1, ..., take different cores.
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    os.sched_setaffinity(0, {sorted(cores)[worker % len(cores)]})
    yield
    os.sched_setaffinity(0, cores)


@pytest.fixture(scope="module")
def keep_home(tmp_path_factory):
    """A home folder that the tests of a module share."""
    with pytest.MonkeyPatch.context() as patch:
        home = tmp_path_factory.mktemp("home")
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        yield home
