"""A small real cohort on disk, for every test that needs scans.

The process that starts the workers reads this file before them and runs no test, so torch is
imported by the fixtures.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import pytest

from harmbench.util.progress import Silent
from helpers.mlflow_store import add_store, empty_store

if TYPE_CHECKING:
    from torch import Tensor

    from harmbench.data.cohort import Cohort

# With torch and MLflow there are half a million objects, and to go through all of them so often
# takes a tenth of the time of all tests.
gc.set_threshold(20_000, 20, 20)

# A machine under load is no failure of a property, and CI draws the same cases every time.
hypothesis.settings.register_profile("harmbench", deadline=None, derandomize="CI" in os.environ)
hypothesis.settings.load_profile("harmbench")


# The options of this run are not those of the runs of pytest that some tests start.
os.environ.pop("PYTEST_ADDOPTS", None)


@pytest.fixture(scope="session")
def small_cohort(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    """Eight target scans, a paired and labelled source and one that is neither; read only."""
    from harmbench.testing.tiny import write_cohort

    return write_cohort(tmp_path_factory.mktemp("cohort") / "small")


@pytest.fixture(scope="session")
def home_with_store(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], Path]:
    """Create a home folder that has an empty MLflow store."""
    return lambda home: add_store(empty_store(tmp_path_factory), home)


@pytest.fixture
def own_cohort(tmp_path: Path) -> Callable[[], Cohort]:
    """Make the same cohort in a folder that the test may change."""
    from harmbench.testing.tiny import write_cohort

    return lambda: write_cohort(tmp_path / "cohort")


class Killed(Exception):
    """What a kill is within one process: an end in the middle of a step."""


class Kills(Silent):
    """Progress that ends the process at its n-th note, and keeps what is logged."""

    Killed = Killed

    def __init__(self, note: int = 0) -> None:
        self.left, self.lines = note, list[str]()

    def note(self, text: str) -> None:
        self.left -= 1
        if self.left == 0:
            raise Killed

    def log(self, text: str) -> None:
        self.lines.append(text)


@pytest.fixture(scope="session")
def kills() -> type[Kills]:
    """The class of progress that kills a fit; what it raises is `kills.Killed`."""
    return Kills


@pytest.fixture(scope="session")
def assert_equal() -> Callable[[Mapping[str, Tensor], Mapping[str, Tensor]], None]:
    """Compare two state dicts to the bit."""
    import torch

    def compare(state: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
        assert state.keys() == expected.keys()
        for name, value in state.items():
            assert torch.equal(value, expected[name]), name

    return compare


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """Sums are the same to the bit on the same number of threads; small ones are fast on one."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
