"""Metrics of the white matter that an instrument found, against the true labels.

They apply to scans with both (`Scans.predicted` and `Scans.labels`), each scan as a whole
volume, and are computed by MONAI. Where the true labels have no white matter they are NaN.
Where none was found, overlaps are 0 and distances the length of the grid's diagonal: there is
no surface to measure from, and to leave the scan out would flatter who failed on it.
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
from harmbench.data.scan_set import ScanSet
from harmbench.data.scans import Grid, Scans
from harmbench.metrics.distribution import WHITE


class OverlapMetric(Metric):
    """A comparison of the white matter that was found with the true one."""

    @abstractmethod
    def compare(self, found: Tensor, true: Tensor, grid: Grid) -> float:
        """Compare two regions, bool `(1, 1, S, H, W)`, neither of them empty."""

    @abstractmethod
    def nothing_found(self, grid: Grid) -> float:
        """Return the value where no white matter was found."""

    def applies(self, harmonized: Scans, references: Scans | None, target: ScanSet) -> bool:
        """Say whether labels were predicted, and the true ones are known."""
        return harmonized.predicted is not None and harmonized.labels is not None

    def measure(self, harmonized: Scans, references: Scans | None, target: ScanSet) -> Tensor:
        """Measure every scan: `(N,)` float64.

        Raises
        ------
        ValueError
            If no labels were predicted, or the true ones are not known.
        """
        if harmonized.predicted is None or harmonized.labels is None:
            raise ValueError(f"{self.name} needs predicted and true labels")
        values = []
        for found, true in zip(
            harmonized.predicted == WHITE, harmonized.labels == WHITE, strict=True
        ):
            if not bool(true.any()):
                values.append(math.nan)
            elif not bool(found.any()):
                values.append(self.nothing_found(target.grid))
            else:
                values.append(self.compare(found[None, None], true[None, None], target.grid))
        return torch.tensor(values, dtype=torch.float64)


class Dice(OverlapMetric):
    """Dice coefficient `2 |A and B| / (|A| + |B|)`, in [0, 1]."""

    name = "dice"
    summary = "overlap of predicted and true white matter (Dice coefficient)"

    def compare(self, found: Tensor, true: Tensor, grid: Grid) -> float:
        """Return the coefficient."""
        from monai.metrics import compute_dice

        return float(compute_dice(found, true, include_background=True))

    def nothing_found(self, grid: Grid) -> float:
        """Return 0."""
        return 0.0


class IoU(OverlapMetric):
    """Intersection over union `|A and B| / |A or B|`, in [0, 1]."""

    name = "iou"
    summary = "intersection over union of predicted and true white matter"

    def compare(self, found: Tensor, true: Tensor, grid: Grid) -> float:
        """Return the ratio."""
        from monai.metrics import compute_iou

        return float(compute_iou(found, true, include_background=True))

    def nothing_found(self, grid: Grid) -> float:
        """Return 0."""
        return 0.0


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep to ourselves that MONAI 1.6 calls its own functions in ways that it has deprecated."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "monai.*always_return_as_numpy", FutureWarning)
        yield


class SurfaceMetric(OverlapMetric):
    """A distance between two surfaces, in mm."""

    unit = "mm"
    higher_is_better = False

    def nothing_found(self, grid: Grid) -> float:
        """Return the length of the grid's diagonal."""
        return math.hypot(*(n * step for n, step in zip(grid.shape, grid.spacing, strict=True)))


class HD95(SurfaceMetric):
    """95th percentile of the distances of either surface to the other; the larger of the two."""

    name = "hd95"
    summary = "95th percentile Hausdorff distance of predicted and true white matter"

    def compare(self, found: Tensor, true: Tensor, grid: Grid) -> float:
        """Return the distance in mm."""
        from monai.metrics import compute_hausdorff_distance

        with _quiet():
            return float(
                compute_hausdorff_distance(
                    found, true, include_background=True, percentile=95, spacing=list(grid.spacing)
                )
            )


class SurfaceDistance(SurfaceMetric):
    """Mean distance of all points of either surface to the other."""

    name = "surface_distance"
    summary = "average symmetric surface distance of predicted and true white matter"

    def compare(self, found: Tensor, true: Tensor, grid: Grid) -> float:
        """Return the distance in mm."""
        from monai.metrics import compute_average_surface_distance

        with _quiet():
            return float(
                compute_average_surface_distance(
                    found, true, include_background=True, symmetric=True, spacing=list(grid.spacing)
                )
            )


class VolumeDifference(OverlapMetric):
    """Absolute difference of the volumes, `100 |V_found - V_true| / V_true`, in per cent."""

    name = "volume_difference"
    summary = "absolute difference of predicted and true white-matter volume"
    unit = "%"
    higher_is_better = False

    def compare(self, found: Tensor, true: Tensor, grid: Grid) -> float:
        """Return the difference in per cent."""
        return 100 * abs(int(found.sum()) - int(true.sum())) / int(true.sum())

    def nothing_found(self, grid: Grid) -> float:
        """Return 100."""
        return 100.0
