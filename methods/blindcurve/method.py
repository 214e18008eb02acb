"""`blindcurve`: the bias field and the curve of a scan, estimated from target scans only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from harmbench import FitData, FitProgress, Grid, Method, Needs, Scans, StackMethod, seeded

from .._cosine_field import Cosines
from .._slices import scaled_by_slice
from ..blindharmony.method import BlindHarmony
from ..histogram import Histogram, HistogramConfig
from .config import ABLATIONS, PRESETS, BlindCurveConfig
from .field import FieldEstimator, exponent_of, train_field_networks
from .guard import CELLS, DOUBTFUL, OTHER, layout, likeness
from .hypotheses import Hypotheses, Hypothesis
from .likelihood import monotone
from .maps import Map
from .natural import NaturalVariation
from .networks import Networks
from .population import Population
from .surroundings import N_SURROUNDINGS
from .target import Departures, natural_estimates


class BlindCurve(StackMethod):
    r"""Estimate one bias field and one monotone curve, and remove both.

    Matching a scan's quantiles to the target population's removes any monotone curve of the
    scanner, up to the difference between the subject and the population. What remains is
    estimated in three steps:

    1. *Field, by networks.* They learn from disturbed target scans how much too bright each
       voxel is, from its surroundings. A field is removed if it is more likely than the fields
       that target scans have by nature, and if the flow does not object: enlarged ventricles
       look like a field to the networks, but not to the flow.
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
        Distributions of the networks' fields and of the most likely gains on target scans.
    curve_mean
        `(2 K + 1,)`: mean of the most likely curves of target scans.
    greatest_departure, target_layout
        See `target.Departures`.
    slicewise
        Whether the target's slices were min-max scaled one by one.
    """

    name = "blindcurve"
    summary = "one bias field and one curve, by small networks and by the likelihood under a flow"
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
        self.networks = self._new_networks(seed=0)
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

    def _new_networks(self, seed: int) -> Networks:
        with seeded(seed, self.name, "weights"):
            return Networks(self.config.folds, N_SURROUNDINGS, self.config.network_hidden)

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
    def _field_estimator(self) -> FieldEstimator:
        return FieldEstimator(self._population, self.networks)

    @property
    def _hypotheses(self) -> Hypotheses:
        return Hypotheses(self._population, self.blindharmony.flow, int(self.seed))

    # Fitting

    def fit(self, data: FitData, progress: FitProgress) -> None:
        """Train the networks on disturbed target scans, and measure target scans as they are."""
        target = data.target
        self.seed.fill_(data.seed)
        self.slicewise.fill_(scaled_by_slice(target))
        self.networks.load_state_dict(self._new_networks(data.seed).state_dict())
        departures = Departures.of(target, self.histogram.knots.cpu())
        self.greatest_departure.fill_(departures.greatest)
        self.target_layout.copy_(departures.layout)
        folds = departures.subjects % self.config.folds
        estimator = self._field_estimator
        train_field_networks(estimator, target, departures.rows, folds, data.seed, progress)
        sets = ((target, folds.tolist()), (data.validation, None))
        natural = natural_estimates(sets, estimator, self._hypotheses, progress)
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
        return [self._map(i, m) for i, m in zip(scans.images, scans.masks, strict=True)]

    def _map(self, image: Tensor, mask: Tensor) -> Map:
        """Estimate the map of a scan `(S, H, W)`."""
        config = self.config
        if not bool((mask & (image > 0)).any()):
            return self._unchanged("no foreground")
        plain = self._hypotheses.plain(image, mask)
        flag = ""
        if config.guard:
            correlation = likeness(layout(plain.matched, mask), self.target_layout)
            if correlation < DOUBTFUL:
                flag = f"intensity layout differs from the target (correlation {correlation:.2f})"
            if correlation < OTHER:
                return self._unchanged(f"{flag}: another contrast, or not only brain; unchanged")
        chosen, natural = plain, True
        if config.learned_field:
            chosen, natural, objection = self._without_learned_field(image, mask, plain)
            flag = flag or objection
        if config.likely_field:
            gain = chosen.likelihood.gain()
            excess = self.natural_gains.excess(gain, config.evidence)
            if bool(excess.any()) and bool(excess.isfinite().all()):
                natural = False
                exponent = exponent_of(chosen.bare[mask], self.histogram.knots)
                chosen = self._hypotheses.of(image, mask, chosen.field - exponent * excess)
        if config.keep_target and natural and self._like_target(image, mask, plain):
            return self._unchanged("resembles the target's own scans; unchanged")
        return self._result(chosen, flag)

    def _unchanged(self, flag: str) -> Map:
        knots = self.histogram.knots
        return Map(
            field=torch.zeros_like(self.natural_fields.mean),
            x=knots,
            y=knots,
            slicewise=bool(self.slicewise),
            flag=flag,
            unchanged=True,
        )

    def _result(self, hypothesis: Hypothesis, flag: str) -> Map:
        """Return the map that removes the hypothesis' field and its most likely curve."""
        y = self.histogram.knots.clone()
        if self.config.curve:
            curve = hypothesis.likelihood.curve()
            if self.config.centred_curve:
                curve = curve - self.curve_mean
            K = self.config.curve_bins
            curved, _ = monotone(y, self._hypotheses.curve_knots, curve[:K], curve[K:])
            y = curved if bool(curved.isfinite().all()) else y
        slicewise = bool(self.slicewise)
        return Map(field=hypothesis.field, x=hypothesis.own, y=y, slicewise=slicewise, flag=flag)

    def _without_learned_field(
        self, image: Tensor, mask: Tensor, plain: Hypothesis
    ) -> tuple[Hypothesis, bool, str]:
        """Remove the networks' field, unless it may be natural or the flow objects.

        Also return whether the field may be natural, and the flow's objection or "".
        """
        estimate = self._field_estimator.estimate(image, mask)
        natural = not bool(self.natural_fields.excess(estimate, self.config.evidence).any())
        # The whole field, not its posterior mean, which is smaller.
        exponent = exponent_of(image[mask], self.histogram.knots)
        bare = self._hypotheses.of(image, mask, exponent * (estimate - self.natural_fields.mean))
        gain, decisive = bare.score - plain.score, self.config.decisive
        if gain > decisive or (not natural and gain >= -decisive):
            return bare, False, ""
        if natural:
            return plain, True, ""
        objection = (
            f"the networks' bias field lowers the likelihood by {-gain:.2f} nats per voxel "
            "(as with large ventricles); not removed"
        )
        return plain, False, objection

    def _like_target(self, image: Tensor, mask: Tensor, plain: Hypothesis) -> bool:
        """Return whether quantiles and likelihood of a scan are those of a target scan."""
        departure = float((plain.own - self.histogram.knots).square().mean().sqrt())
        if departure > float(self.greatest_departure):
            return False
        as_it_is = self._hypotheses.likelihood(image, mask).per_voxel()
        return plain.score - as_it_is <= self.config.target_margin
