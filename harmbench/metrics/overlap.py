"""Metrics of the white matter that an instrument predicted, against the true labels.

They apply to scans with both (`Scans.predicted` and `Scans.labels`), each scan as a whole
volume, and are computed by MONAI. Where the true labels have no white matter they are NaN.
Where none was predicted, overlaps are 0 and distances the length of the grid's diagonal: there
is no surface to measure from, and leaving the scan out would favour the method that failed.
"""

from __future__ import annotations

import contextlib
import math
import warnings
from abc import abstractmethod
from collections.abc import Iterator

import torch
from torch import Tensor

from harmbench.contracts.metric import Metric
from harmbench.contracts.purpose import Purpose
from harmbench.data.scan_set import ScanSet
from harmbench.data.scans import Grid, Scans
from harmbench.metrics.distribution import WHITE
from harmbench.statistics.value_range import NOT_NEGATIVE, UNIT


class OverlapMetric(Metric):
    """A comparison of the predicted with the true white matter."""

    @abstractmethod
    def compare(self, predicted: Tensor, true: Tensor, grid: Grid) -> float:
        """Compare two regions, bool `(1, 1, S, H, W)`, neither of them empty."""

    @abstractmethod
    def nothing_predicted(self, grid: Grid) -> float:
        """Return the value where no white matter was predicted."""

    def applies(self, harmonized: Scans, references: Scans | None, target: ScanSet) -> bool:
        """Return whether predicted and true labels exist."""
        return harmonized.predicted is not None and harmonized.labels is not None

    def measure(self, harmonized: Scans, references: Scans | None, target: ScanSet) -> Tensor:
        """Measure every scan: `(N,)` float64.

        Raises
        ------
        ValueError
            If predicted or true labels are missing.
        """
        if harmonized.predicted is None or harmonized.labels is None:
            raise ValueError(f"{self.name} needs predicted and true labels")
        values = []
        for predicted, true in zip(
            harmonized.predicted == WHITE, harmonized.labels == WHITE, strict=True
        ):
            if not bool(true.any()):
                values.append(math.nan)
            elif not bool(predicted.any()):
                values.append(self.nothing_predicted(target.grid))
            else:
                values.append(self.compare(predicted[None, None], true[None, None], target.grid))
        return torch.tensor(values, dtype=torch.float64)


class Dice(OverlapMetric):
    """Dice coefficient `2 |A and B| / (|A| + |B|)`, in [0, 1]."""

    name = "dice"
    summary = "overlap of predicted and true white matter (Dice coefficient)"
    value_range = UNIT
    purpose = Purpose.RANKING

    def compare(self, predicted: Tensor, true: Tensor, grid: Grid) -> float:
        """Return the coefficient."""
        from monai.metrics import compute_dice

        return float(compute_dice(predicted, true, include_background=True))

    def nothing_predicted(self, grid: Grid) -> float:
        """Return 0."""
        return 0.0


class IoU(OverlapMetric):
    """Intersection over union `|A and B| / |A or B|`, in [0, 1]."""

    name = "iou"
    summary = "intersection over union of predicted and true white matter"
    value_range = UNIT

    def compare(self, predicted: Tensor, true: Tensor, grid: Grid) -> float:
        """Return the ratio."""
        from monai.metrics import compute_iou

        return float(compute_iou(predicted, true, include_background=True))

    def nothing_predicted(self, grid: Grid) -> float:
        """Return 0."""
        return 0.0


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Suppress MONAI 1.6's warning that it calls its own deprecated functions."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "monai.*always_return_as_numpy", FutureWarning)
        yield


class SurfaceMetric(OverlapMetric):
    """A distance between two surfaces, in mm."""

    unit = "mm"
    higher_is_better = False

    def nothing_predicted(self, grid: Grid) -> float:
        """Return the length of the grid's diagonal."""
        return math.hypot(*(n * step for n, step in zip(grid.shape, grid.spacing, strict=True)))


class HD95(SurfaceMetric):
    """95th percentile of the distances of either surface to the other; the larger of the two."""

    name = "hd95"
    summary = "95th percentile Hausdorff distance of predicted and true white matter"
    value_range = NOT_NEGATIVE

    def compare(self, predicted: Tensor, true: Tensor, grid: Grid) -> float:
        """Return the distance in mm."""
        from monai.metrics import compute_hausdorff_distance

        with _quiet():
            return float(
                compute_hausdorff_distance(
                    predicted,
                    true,
                    include_background=True,
                    percentile=95,
                    spacing=list(grid.spacing),
                )
            )


class SurfaceDistance(SurfaceMetric):
    """Mean distance of all points of either surface to the other."""

    name = "surface_distance"
    summary = "average symmetric surface distance of predicted and true white matter"
    value_range = NOT_NEGATIVE

    def compare(self, predicted: Tensor, true: Tensor, grid: Grid) -> float:
        """Return the distance in mm."""
        from monai.metrics import compute_average_surface_distance

        with _quiet():
            return float(
                compute_average_surface_distance(
                    predicted,
                    true,
                    include_background=True,
                    symmetric=True,
                    spacing=list(grid.spacing),
                )
            )


class VolumeDifference(OverlapMetric):
    """Absolute difference of the volumes, `100 |V_predicted - V_true| / V_true`, in per cent."""

    name = "volume_difference"
    summary = "absolute difference of predicted and true white-matter volume"
    value_range = NOT_NEGATIVE
    unit = "%"
    higher_is_better = False

    def compare(self, predicted: Tensor, true: Tensor, grid: Grid) -> float:
        """Return the difference in per cent."""
        return 100 * abs(int(predicted.sum()) - int(true.sum())) / int(true.sum())

    def nothing_predicted(self, grid: Grid) -> float:
        """Return 100."""
        return 100.0
