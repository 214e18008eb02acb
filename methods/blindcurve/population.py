"""Intensity quantiles of the target's subjects: their mean, and how subjects depart from it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from harmbench import ScanSet

from .._slices import scaled_by_slice
from .maps import Curve, ascending, foreground_quantiles, levels


@dataclass(frozen=True, eq=False)
class Population:
    """The mean quantiles of the target's subjects and their main variation.

    Attributes
    ----------
    knots
        `(K + 1,)`: mean quantiles.
    components
        `(C, K + 1)`: how subjects' quantiles depart from them, in deviations.
    """

    knots: Tensor
    components: Tensor

    def anchor(self, values: Tensor, knots: Tensor | None = None) -> Curve:
        """Match a scan's foreground `(n,)` to the population's quantiles, or to given ones."""
        at = levels(len(self.knots) - 1).to(values.device)
        target = self.knots if knots is None else knots
        return Curve(ascending(foreground_quantiles(values, at)), ascending(target))

    def other_subjects(self, deviations: Tensor) -> Tensor:
        """Return the quantiles of subjects who depart by `(C,)` deviations from the population."""
        return self.knots + deviations.to(self.knots) @ self.components

    def at(self, quantile_levels: Tensor) -> Tensor:
        """Return the population's quantiles at some levels."""
        knot_levels = levels(len(self.knots) - 1).to(self.knots)
        return Curve(knot_levels, ascending(self.knots))(quantile_levels.to(self.knots))


@dataclass(frozen=True, eq=False)
class LearnedPopulation:
    """The population of the target's subjects, and their scans' quantiles.

    Attributes
    ----------
    population
        On the CPU; components that too few scans leave undetermined are 0.
    quantiles
        `(N, K + 1)` of the N scans; the mean for a scan without foreground.
    subject_of_scan
        `(N,)` int64: index of the subject of each scan.
    slicewise
        Whether the slices were min-max scaled one by one.
    """

    population: Population
    quantiles: Tensor
    subject_of_scan: Tensor
    slicewise: bool


def learn_population(target: ScanSet, knots: int, components: int) -> LearnedPopulation:
    """Learn the population's quantiles, at `knots` + 1 levels, and their variation."""
    at = levels(knots)
    of_scans = []
    for scan in target.batches():
        image, mask = scan.images[0], scan.masks[0]
        of_scans.append(foreground_quantiles(image[mask], at) if bool(mask.any()) else None)
    present = [row for row in of_scans if row is not None]
    mean = torch.stack(present).mean(dim=0)
    quantiles = torch.stack([mean if row is None else row for row in of_scans])
    # A quantile stands for the voxels around it: so weighted, errors are those of images.
    weight = voxel_share(at).clamp_min(1e-4).sqrt()
    _, size, directions = torch.linalg.svd((quantiles - mean) * weight, full_matrices=False)
    count = min(components, len(present) - 1)
    scaled = size[:count, None] * directions[:count] / weight / max(1, len(present) - 1) ** 0.5
    padded = torch.zeros(components, knots + 1)
    padded[:count] = scaled
    subjects = sorted(set(target.subjects))
    subject_of_scan = torch.tensor([subjects.index(subject) for subject in target.subjects])
    return LearnedPopulation(
        Population(mean, padded), quantiles, subject_of_scan, scaled_by_slice(target)
    )


def voxel_share(at: Tensor) -> Tensor:
    """Return the share of voxels that each quantile stands for, by their levels `(K + 1,)`."""
    return torch.gradient(at)[0].clamp_min(0)


def apply_to_foreground(image: Tensor, mask: Tensor, curve: Curve) -> Tensor:
    """Apply a curve to the foreground of a scan `(S, H, W)`; the background becomes 0."""
    return torch.zeros_like(image).masked_scatter(mask, curve(image[mask]))


def load_scan(scans: ScanSet, n: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Read image and mask of a scan, each `(S, H, W)`."""
    scan = scans.load([n]).to(device)
    return scan.images[0], scan.masks[0]
