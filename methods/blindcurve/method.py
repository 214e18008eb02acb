"""`blindcurve`: the bias field and the curve of a scan, estimated from target scans only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from harmbench import FitData, FitProgress, Grid, Method, Needs, Scans, StackMethod

from .._slices import scaled_by_slice
from ..blindharmony.method import BlindHarmony
from ..histogram import Histogram, HistogramConfig
from .config import ABLATIONS, PRESETS, BlindCurveConfig
from .cosines import Cosines
from .estimator import MapEstimator
from .guard import CELLS
from .hypotheses import Hypotheses
from .maps import Map
from .natural import NaturalVariation
from .population import Population
from .target import TargetScans, natural_estimates


class BlindCurve(StackMethod):
    r"""Estimate one bias field and one monotone curve, and remove both.

    Matching a scan's quantiles to the target population's removes any monotone curve of the
    scanner, up to the difference between the subject and the population. What remains is
    estimated in three steps:

    1. *Field, by N4* (`n4_field`), as far as it differs from the mean of the target's own. The
       flow decides whether it is removed. Where its likelihood hardly differs, a field that
       target scans may have by nature stays, and otherwise step 2 is done with and without the
       field, and the more likely result is kept.
    2. *Field, by likelihood.* The gain that makes the scan most likely under BlindHarmony's
       flow, together with a curve (`Likelihood`); applied as far as it exceeds the natural
       gains (`NaturalVariation.excess`).
    3. *Curve, by likelihood*, with the mean curve of the target's own scans, which is the
       flow's error, removed.

    A scan that differs from the target's scans neither in its quantiles nor in its fields nor in
    its likelihood is returned unchanged. So is a scan with another contrast (`guard`).

    Attributes
    ----------
    natural_fields, natural_gains
        Distributions of N4's fields and of the most likely gains on target scans.
    curve_mean
        `(2 K + 1,)`: mean of the most likely curves of target scans.
    greatest_departure, target_layout
        See `target.TargetScans`.
    slicewise
        Whether the target's slices were min-max scaled one by one.
    """

    name = "blindcurve"
    summary = "one bias field and one curve, by N4 and by the likelihood under a flow"
    needs = Needs.TARGET
    reference = "arXiv:2305.10732"
    Config = BlindCurveConfig
    presets = PRESETS
    ablations = ABLATIONS

    config: BlindCurveConfig
    curve_mean: Tensor
    greatest_departure: Tensor
    target_layout: Tensor
    slicewise: Tensor
    seed: Tensor

    def __init__(self, grid: Grid, config: Any = None) -> None:
        super().__init__(grid, config)
        parts = self.parts(self.config)
        self.blindharmony = BlindHarmony(grid, parts["blindharmony"][1])
        self.blindharmony.requires_grad_(False).eval()
        self.histogram = Histogram(grid, parts["histogram"][1])
        self.cosines = Cosines(self.config.degree)
        self.natural_fields = NaturalVariation(self.cosines.degrees)
        self.natural_gains = NaturalVariation(self.cosines.degrees)
        self.register_buffer("curve_mean", torch.zeros(2 * self.config.curve_bins + 1))
        self.register_buffer("greatest_departure", torch.zeros(()))
        self.register_buffer("target_layout", torch.zeros(CELLS[0] * CELLS[1] * CELLS[2]))
        self.register_buffer("slicewise", torch.zeros((), dtype=torch.bool))
        self.register_buffer("seed", torch.zeros((), dtype=torch.int64))

    @classmethod
    def parts(cls, config: Any) -> Mapping[str, tuple[type[Method], Any]]:
        """Name the flow's method and the match of quantiles."""
        return {
            "blindharmony": (BlindHarmony, config.flow),
            "histogram": (Histogram, HistogramConfig(config.quantiles)),
        }

    @property
    def _population(self) -> Population:
        return Population(
            config=self.config,
            grid=self.grid,
            cosines=self.cosines,
            knots=self.histogram.knots,
            slicewise=bool(self.slicewise),
        )

    @property
    def _hypotheses(self) -> Hypotheses:
        return Hypotheses(self._population, self.blindharmony.flow, int(self.seed))

    # Fitting

    def fit(self, data: FitData, progress: FitProgress) -> None:
        """Measure target scans as they are; the flow and the quantiles are fitted before."""
        target = data.target
        self.seed.fill_(data.seed)
        self.slicewise.fill_(scaled_by_slice(target))
        measured = TargetScans.of(target, self.histogram.knots.cpu())
        self.greatest_departure.fill_(measured.greatest_departure)
        self.target_layout.copy_(measured.layout)
        natural = natural_estimates((target, data.validation), self._hypotheses, progress)
        if natural is None:
            return
        self.curve_mean.copy_(natural.curves.mean(dim=0))
        self.natural_fields.learn(natural.fields, natural.subjects)
        self.natural_gains.learn(natural.gains, natural.subjects)

    # Harmonising

    def forward_stack(self, scans: Scans, stack: Scans) -> Scans:
        """Harmonise N stacks independently, each by its scan's map; the background is kept."""
        maps, nearest = self.maps(scans), self.nearest_slices(stack)
        results = [
            scan_map(image, mask, self.cosines.field(scan_map.field, self.grid.shape)[nearest])
            for scan_map, image, mask in zip(maps, stack.images, stack.masks, strict=True)
        ]
        images = torch.stack(results) if results else stack.images.clone()
        return replace(stack, images=images, flags=tuple(scan_map.flag for scan_map in maps))

    @torch.no_grad()
    def maps(self, scans: Scans) -> list[Map]:
        """Return the map of each of N scans."""
        estimator = MapEstimator(
            population=self._population,
            hypotheses=self._hypotheses,
            natural_fields=self.natural_fields,
            natural_gains=self.natural_gains,
            curve_mean=self.curve_mean,
            target_layout=self.target_layout,
            greatest_departure=float(self.greatest_departure),
        )
        return [estimator.map_of(i, m) for i, m in zip(scans.images, scans.masks, strict=True)]
