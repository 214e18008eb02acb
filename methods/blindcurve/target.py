"""What scans of the target are like: their quantiles, and what is estimated of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from harmbench import FitProgress, ScanSet

from .._quantiles import evenly_spaced_quantiles
from ..histogram import interpolate
from .field import FieldEstimator
from .guard import layout, mean_layout
from .hypotheses import Hypotheses


@dataclass(frozen=True, eq=False, kw_only=True)
class Departures:
    """How the quantiles of N scans of the target depart from the population's.

    Attributes
    ----------
    rows
        `(N, K)`; 0 for a scan without foreground.
    subjects
        `(N,)` int64: index of each scan's subject.
    greatest
        Of a scan from the mean of the other subjects, root mean square; 0 for one subject.
    layout
        `(cells,)`: mean layout of the matched scans; see `guard`.
    """

    rows: Tensor
    subjects: Tensor
    greatest: float
    layout: Tensor

    @classmethod
    def of(cls, target: ScanSet, knots: Tensor) -> Departures:
        """Measure them, given the population's quantiles `(K,)` on the CPU."""
        rows, layouts = [], []
        for scan in target.batches():
            image, mask = scan.images[0], scan.masks[0]
            values = image[mask] if bool(mask.any()) else knots
            own = evenly_spaced_quantiles(values, len(knots))
            matched = interpolate(image.flatten(), own, knots).view_as(image)
            rows.append(own - knots)
            layouts.append(layout(matched, mask))
        names, departures = sorted(set(target.subjects)), torch.stack(rows)
        subjects = torch.tensor([names.index(subject) for subject in target.subjects])
        greatest = 0.0
        for row, subject in zip(departures, subjects, strict=True):
            others = departures[subjects != subject]
            if len(others):
                size = float((row - others.mean(dim=0)).square().mean().sqrt())
                greatest = max(greatest, size)
        common = mean_layout(torch.stack(layouts))
        return cls(rows=departures, subjects=subjects, greatest=greatest, layout=common)


@dataclass(frozen=True, eq=False, kw_only=True)
class NaturalEstimates:
    """What is estimated of n scans of the target, whose true corrections are none.

    Attributes
    ----------
    fields, gains
        `(n, P)`: by networks that were not trained on the subject, and by likelihood.
    curves
        `(n, 2 K + 1)`: by likelihood.
    subjects
        Of the n scans.
    """

    fields: Tensor
    gains: Tensor
    curves: Tensor
    subjects: Sequence[str]


@torch.no_grad()
def natural_estimates(
    sets: Sequence[tuple[ScanSet, Sequence[int] | None]],
    networks: FieldEstimator,
    hypotheses: Hypotheses,
    progress: FitProgress,
) -> NaturalEstimates | None:
    """Estimate fields and curves of scans, each set with the networks to ask (None for all).

    None if no scan has a foreground.
    """
    rows: list[tuple[Tensor, Tensor, Tensor]] = []
    subjects: list[str] = []
    places = [(scans, folds, n) for scans, folds in sets for n in range(len(scans))]
    message = "blindcurve: target scans as they are"
    for scans, folds, n in progress.track(places, message, len(places)):
        scan = scans.load([n]).to(hypotheses.population.knots.device)
        image, mask = scan.images[0], scan.masks[0]
        if bool(mask.any()):
            field = networks.estimate(image, mask, None if folds is None else folds[n])
            likelihood = hypotheses.plain(image, mask).likelihood
            rows.append((field.cpu(), likelihood.gain().cpu(), likelihood.curve().cpu()))
            subjects.append(scans.subjects[n])
    if not rows:
        return None
    fields, gains, curves = (torch.stack(part) for part in zip(*rows, strict=True))
    return NaturalEstimates(fields=fields, gains=gains, curves=curves, subjects=subjects)
