"""Overlap of labels: known answers, other implementations, and empty ones."""

from __future__ import annotations

import math

import pytest
import torch
from scipy.ndimage import binary_erosion
from scipy.spatial import cKDTree

from harmbench.contracts.metric import Metric
from harmbench.data.scan_set import ScanSet
from harmbench.data.scans import Grid, Scans
from harmbench.metrics.overlap import HD95, Dice, IoU, SurfaceDistance, VolumeDifference

GRID = Grid("test", (8, 16, 20), (3.0, 1.0, 2.0))
METRICS = (Dice, IoU, HD95, SurfaceDistance, VolumeDifference)
DIAGONAL = math.hypot(24, 16, 40)


@pytest.fixture
def target(tmp_path) -> ScanSet:
    return ScanSet.stored(tmp_path, domain="target", grid=GRID, scans=())


def block(*corner: int) -> torch.Tensor:
    """White matter in a block of 4 x 6 x 8 voxels."""
    labels = torch.full((1, *GRID.shape), 2, dtype=torch.uint8)
    s, h, w = corner
    labels[:, s : s + 4, h : h + 6, w : w + 8] = 3
    return labels


def scans(predicted: torch.Tensor | None, labels: torch.Tensor | None) -> Scans:
    images = torch.zeros(1, *GRID.shape)
    return Scans(
        images=images,
        masks=images > 0,
        subjects=("p",),
        sessions=("1",),
        positions=torch.tensor(GRID.positions),
        labels=labels,
        truth=None,
        predicted=predicted,
    )


def measured(metric: type[Metric], predicted: torch.Tensor, true: torch.Tensor, target: ScanSet):
    return float(metric().measure(scans(predicted, true), None, target)[0])


def test_the_same_is_perfect(target) -> None:
    values = [measured(metric, block(2, 4, 5), block(2, 4, 5), target) for metric in METRICS]
    assert values == [1, 1, 0, 0, 0]


def test_a_block_that_was_moved(target) -> None:
    result, true = block(2, 4, 7), block(2, 4, 5)
    assert measured(Dice, result, true, target) == pytest.approx(6 / 8)
    assert measured(IoU, result, true, target) == pytest.approx(6 / 10)
    assert measured(VolumeDifference, result, true, target) == 0
    # Two voxels of 2 mm: the face that lies nearest to none.
    assert measured(HD95, result, true, target) == pytest.approx(4.0)


def surface(labels: torch.Tensor) -> torch.Tensor:
    """The outermost voxels of the white matter, in mm."""
    inside = (labels[0] == 3).numpy()
    places = torch.from_numpy(inside & ~binary_erosion(inside)).nonzero()
    return places * torch.tensor(GRID.spacing)


def test_distances_are_in_mm_and_as_nearest_neighbours_have_them(target) -> None:
    result, true = block(3, 6, 9), block(2, 4, 5)
    a, b = surface(result).numpy(), surface(true).numpy()
    there, back = cKDTree(b).query(a)[0], cKDTree(a).query(b)[0]
    mean = (there.sum() + back.sum()) / (len(there) + len(back))
    assert measured(SurfaceDistance, result, true, target) == pytest.approx(mean, rel=1e-5)
    percentile = max(float(torch.quantile(torch.from_numpy(d), 0.95)) for d in (there, back))
    assert measured(HD95, result, true, target) == pytest.approx(percentile, rel=1e-5)


def test_volume_has_no_direction(target) -> None:
    half = block(2, 4, 5)
    half[:, 2:4] = 2
    assert measured(VolumeDifference, half, block(2, 4, 5), target) == 50
    assert measured(VolumeDifference, block(2, 4, 5), half, target) == 100


def test_nothing_found_is_the_worst_and_nothing_to_find_says_nothing(target) -> None:
    nothing = torch.zeros(1, *GRID.shape, dtype=torch.uint8)
    worst = [measured(metric, nothing, block(2, 4, 5), target) for metric in METRICS]
    assert worst == [0, 0, pytest.approx(DIAGONAL), pytest.approx(DIAGONAL), 100]
    for metric in METRICS:
        assert math.isnan(measured(metric, block(2, 4, 5), nothing, target))
        assert math.isnan(measured(metric, nothing, nothing, target))


@pytest.mark.parametrize("metric", METRICS)
def test_it_takes_both_kinds_of_labels(metric, target) -> None:
    labels = block(2, 4, 5)
    assert metric().applies(scans(labels, labels), None, target)
    for bare in (scans(None, labels), scans(labels, None)):
        assert not metric().applies(bare, None, target)
        with pytest.raises(ValueError, match="needs predicted and true labels"):
            metric().measure(bare, None, target)


def test_a_table_of_whole_scans(target) -> None:
    table = Dice().table(scans(block(2, 4, 7), block(2, 4, 5)), None, target)
    assert table.to_dict("records") == [
        {
            "subject": "p",
            "scan": "1",
            "slice": -1,
            "metric": "dice",
            "value": pytest.approx(0.75),
        }
    ]
