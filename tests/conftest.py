"""A small real cohort on disk, for every test that needs scans."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import hypothesis
import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from harmbench.data.cohort import Cohort, CohortWriter, ScanRecord, write_row
from harmbench.hashing import digest
from harmbench.progress import Silent
from harmbench.scans import Grid, minmax
from harmbench.seeds import numpy_generator

# A machine under load is no failure of a property, and CI draws the same cases every time.
hypothesis.settings.register_profile("harmbench", deadline=None, derandomize="CI" in os.environ)
hypothesis.settings.load_profile("harmbench")

# Rows and columns can be halved four times, as deep flows ask for.
TINY = Grid("tiny", (6, 32, 48), (8.0, 5.0, 4.0))

# Half of the grid along each axis, in radii of a head.
EXTENT = (0.6, 1.2, 1.2)

# Intensity of CSF, grey and white matter on each scanner, and the noise.
CONTRASTS = {
    "target": ((0.15, 0.55, 0.90), 0.010),
    "domain1": ((0.30, 0.50, 0.65), 0.015),
    "north": ((0.05, 0.60, 0.70), 0.020),
}

# Person, session and split. On domain1 it is people of the target, in the same space;
# on north it is others. p0 came twice to the target, and n0 to the north.
SCANS = {
    "target": [
        ("p0", "1", "test"),
        ("p0", "2", "test"),
        ("p1", "1", "test"),
        ("p2", "1", "validation"),
        ("p3", "1", "train"),
        ("p4", "1", "train"),
        ("p5", "1", "train"),
        ("p6", "1", "train"),
    ],
    "domain1": [
        ("p1", "a", "test"),
        ("p0", "a", "test"),
        ("p3", "a", "train"),
        ("p4", "a", "train"),
        ("p5", "a", "train"),
    ],
    "north": [
        ("n0", "1", "test"),
        ("n0", "2", "test"),
        ("n1", "1", "test"),
        ("n2", "1", "train"),
        ("n3", "1", "train"),
    ],
}


def brain(
    grid: Grid, person: str, session: str, domain: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Images, masks and labels of shells of tissue, shaped by the person, lit by the scanner."""
    anatomy = numpy_generator(0, "anatomy", person)
    axes = [np.linspace(-extent, extent, n) for n, extent in zip(grid.shape, EXTENT, strict=True)]
    radius = np.sqrt(sum(axis**2 for axis in np.meshgrid(*axes, indexing="ij")))
    bumps = gaussian_filter(anatomy.standard_normal(grid.shape), (1, 4, 4))
    radius *= 1 + 0.12 * bumps / bumps.std()
    labels = np.select(
        [radius < 0.3, radius < 0.65, radius < 0.9, radius < 1], [1, 3, 2, 1], 0
    ).astype(np.uint8)
    masks = labels > 0
    tissues, noise = CONTRASTS[domain]
    images = gaussian_filter(np.array([0.0, *tissues])[labels], (0, 0.6, 0.6))
    grain = numpy_generator(0, "noise", person, session, domain).standard_normal(grid.shape)
    images = np.where(masks, (images + noise * grain).clip(0.01, None), 0)
    return minmax(torch.from_numpy(images.astype(np.float32))).numpy(), masks, labels


def write_cohort(directory: Path, grid: Grid = TINY) -> Cohort:
    """Write target, domain1 (paired, labelled) and north (neither) as a cohort on disk."""
    directory.mkdir(parents=True)
    writer = CohortWriter(directory, grid)
    records = []
    for domain, scans in SCANS.items():
        labelled = domain != "north"
        folder = writer.begin_domain(domain, len(scans), labelled=labelled)
        for row, (person, session, split) in enumerate(scans):
            images, masks, labels = brain(grid, person, session, domain)
            write_row(folder / "images.npy", row, images)
            write_row(folder / "masks.npy", row, masks)
            if labelled:
                write_row(folder / "labels.npy", row, labels)
            key = digest("small", domain, person, session)
            records.append(ScanRecord(domain, person, session, row, key, split, labelled, labelled))
    writer.finish(
        name="small",
        key=digest("small cohort", grid),
        kind="phantom",
        target="target",
        sources=["domain1", "north"],
        records=records,
        left_out={},
    )
    return Cohort(directory)


@pytest.fixture(scope="session")
def small_cohort(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    """Eight target scans, a paired and labelled source and one that is neither; read only."""
    return write_cohort(tmp_path_factory.mktemp("cohort") / "small")


@pytest.fixture
def own_cohort(tmp_path: Path) -> Callable[[], Cohort]:
    """Make the same cohort in a folder that the test may change."""
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
def assert_equal() -> Callable[[Mapping[str, torch.Tensor], Mapping[str, torch.Tensor]], None]:
    """Compare two state dicts to the bit."""

    def compare(state: Mapping[str, torch.Tensor], expected: Mapping[str, torch.Tensor]) -> None:
        assert state.keys() == expected.keys()
        for name, value in state.items():
            assert torch.equal(value, expected[name]), name

    return compare


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """Sums are the same to the bit on the same number of threads; small ones are fast on one."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
