"""What all tests of the phantom share: the template, and a grid that renders fast."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from harmbench.cohorts.phantom.template import TissueTemplate, load_template
from harmbench.data.scans import Grid


@pytest.fixture(scope="session")
def template() -> TissueTemplate:
    return load_template()


@pytest.fixture(scope="session")
def tiny() -> Grid:
    """Coarse in plane, and a slab through the lateral ventricles."""
    return Grid("tiny", (6, 36, 44), (1.2, 4.8, 4.8))


@pytest.fixture(scope="session")
def head() -> Grid:
    """A whole head, coarse in all directions."""
    return Grid("head", (30, 40, 48), (4.8, 4.8, 4.8))


@pytest.fixture
def one_thread() -> Iterator[None]:
    """As the workers do: sums over several threads differ in their last bits."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
