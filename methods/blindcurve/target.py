"""What scans of the target are like: their quantiles, and what is estimated of them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from harmbench import FitProgress, ScanSet

from .._quantiles import evenly_spaced_quantiles
from ..blindharmony.flow.threads import beside
from ..histogram import interpolate
from .field import n4_field
from .guard import layout, mean_layout
from .hypotheses import Hypotheses

_CHECKPOINT = "natural"


@dataclass(frozen=True, eq=False, kw_only=True)
class TargetScans:
    """How the target's scans differ from their population, and what they have in common.

    Attributes
    ----------
    greatest_departure
        Of the quantiles of a scan from the mean of those of the other subjects, root mean square;
        0 for one subject.
    layout
        `(cells,)`: mean layout of the matched scans; see `guard`.
    """

    greatest_departure: float
    layout: Tensor

    @classmethod
    def of(cls, target: ScanSet, knots: Tensor) -> TargetScans:
        """Measure them, given the population's quantiles `(K,)` on the CPU."""
        rows, layouts = [], []
        for scan in target.batches():
            image, mask = scan.images[0], scan.masks[0]
            values = image[mask] if bool(mask.any()) else knots
            own = evenly_spaced_quantiles(values, len(knots))
            matched = interpolate(image.flatten(), own, knots).view_as(image)
            rows.append(own)
            layouts.append(layout(matched, mask))
        own, greatest = torch.stack(rows), 0.0
        for n, subject in enumerate(target.subjects):
            others = own[torch.tensor([other != subject for other in target.subjects])]
            if len(others):
                size = float((own[n] - others.mean(dim=0)).square().mean().sqrt())
                greatest = max(greatest, size)
        return cls(greatest_departure=greatest, layout=mean_layout(torch.stack(layouts)))


@dataclass(frozen=True, eq=False, kw_only=True)
class NaturalEstimates:
    """What is estimated of n scans of the target, whose true corrections are none.

    Attributes
    ----------
    fields, gains
        `(n, P)`: by N4, and by likelihood.
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
    sets: Sequence[ScanSet], hypotheses: Hypotheses, progress: FitProgress
) -> NaturalEstimates | None:
    """Estimate fields and curves of scans; None if no scan has a foreground."""
    population = hypotheses.population
    places = [(scans, n) for scans in sets for n in range(len(scans))]
    state = progress.saved(_CHECKPOINT) or {"done": 0, "rows": [], "subjects": []}
    rows, subjects, saved = state["rows"], state["subjects"], time.monotonic()
    message = "blindcurve: target scans as they are"
    left = places[state["done"] :]
    for done, (scans, n) in enumerate(progress.track(left, message), state["done"] + 1):
        scan = scans.load([n]).to(population.knots.device)
        image, mask = scan.images[0], scan.masks[0]
        if bool(mask.any()):
            with beside(partial(n4_field, population, image, mask)) as field:
                likelihood = hypotheses.plain(image, mask).likelihood
                gain, curve = likelihood.gain.cpu(), likelihood.curve.cpu()
            rows.append((field.result().cpu(), gain, curve))
            subjects.append(scans.subjects[n])
        if time.monotonic() - saved > progress.checkpoint_seconds:
            progress.save({"done": done, "rows": rows, "subjects": subjects}, _CHECKPOINT)
            saved = time.monotonic()
    if not rows:
        return None
    fields, gains, curves = (torch.stack(part) for part in zip(*rows, strict=True))
    return NaturalEstimates(fields=fields, gains=gains, curves=curves, subjects=subjects)
