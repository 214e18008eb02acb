"""Fixtures of the harness's tests: BIDS folders, homes and one core."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from helpers.one_core import on_one_core
from helpers.registrations import registrations_of_the_run, share_registrations
from helpers.volumes import Tree


@pytest.fixture(scope="session")
def registrations(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The registrations that all tests share."""
    return registrations_of_the_run(tmp_path_factory)


@pytest.fixture
def tree(tmp_path: Path, registrations: Path) -> Tree:
    """An empty BIDS folder, with a recipe and a home folder next to it."""
    tree = Tree(tmp_path / "study")
    share_registrations(registrations, tree.home)
    return tree


@pytest.fixture
def one_core() -> Iterator[None]:
    """Prepare in this process, since to start others takes longer than a few small scans."""
    with on_one_core():
        yield


@pytest.fixture(scope="module")
def keep_home(tmp_path_factory):
    """A home folder that the tests of a module share."""
    with pytest.MonkeyPatch.context() as patch:
        home = tmp_path_factory.mktemp("home")
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        yield home
