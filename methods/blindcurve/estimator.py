"""The map of one scan: which field, which curve, or none."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from ..blindharmony.flow.threads import beside
from .config import BlindCurveConfig
from .curves import monotone
from .field import exponent_of, n4_field
from .guard import DOUBTFUL, OTHER, layout, likeness
from .hypotheses import Hypotheses, Hypothesis
from .maps import Map
from .natural import NaturalVariation
from .population import Population


@dataclass(frozen=True, eq=False, kw_only=True)
class MapEstimator:
    """Estimate maps of scans by a fitted method's parts; see `BlindCurve` for the steps.

    Attributes
    ----------
    population
        What scans are matched to.
    hypotheses
        Give the likelihood of a scan without one field or another.
    natural_fields, natural_gains
        Distributions of N4's fields and of the most likely gains on target scans.
    curve_mean
        `(2 K + 1,)`: mean of the most likely curves of target scans.
    target_layout, greatest_departure
        See `target.TargetScans`.
    """

    population: Population
    hypotheses: Hypotheses
    natural_fields: NaturalVariation
    natural_gains: NaturalVariation
    curve_mean: Tensor
    target_layout: Tensor
    greatest_departure: float

    @property
    def config(self) -> BlindCurveConfig:
        """Settings of the method."""
        return self.population.config

    def map_of(self, image: Tensor, mask: Tensor) -> Map:
        """Estimate the map of a scan `(S, H, W)`."""
        config = self.config
        if not bool((mask & (image > 0)).any()):
            return self._unchanged("no foreground")
        plain = self.hypotheses.plain(image, mask)
        flag = ""
        if config.guard:
            correlation = likeness(layout(plain.matched, mask), self.target_layout)
            if correlation < DOUBTFUL:
                flag = f"intensity layout differs from the target (correlation {correlation:.2f})"
            if correlation < OTHER:
                return self._unchanged(f"{flag}: another contrast, or not only brain; unchanged")
        candidates, natural, objection = self._candidates(image, mask, plain)
        corrected = [self._without_likely_field(image, mask, start) for start in candidates]
        # The first of equals.
        chosen = max(corrected, key=lambda hypothesis: hypothesis.score)
        natural = natural and chosen is plain
        if config.keep_target and natural and self._like_target(image, mask, plain):
            return self._unchanged("resembles the target's own scans; unchanged")
        return self._result(chosen, flag or objection)

    def _unchanged(self, flag: str) -> Map:
        knots = self.population.knots
        return Map(
            field=torch.zeros_like(self.natural_fields.mean),
            x=knots,
            y=knots,
            slicewise=self.population.slicewise,
            flag=flag,
            unchanged=True,
        )

    def _result(self, hypothesis: Hypothesis, flag: str) -> Map:
        """Return the map that removes the hypothesis' field and its most likely curve."""
        y = self.population.knots.clone()
        if self.config.curve:
            curve = hypothesis.likelihood.curve
            if self.config.centred_curve:
                curve = curve - self.curve_mean
            K = self.config.curve_bins
            curved, _ = monotone(y, self.hypotheses.curve_knots, curve[:K], curve[K:])
            y = curved if bool(curved.isfinite().all()) else y
        slicewise = self.population.slicewise
        return Map(field=hypothesis.field, x=hypothesis.own, y=y, slicewise=slicewise, flag=flag)

    def _candidates(
        self, image: Tensor, mask: Tensor, plain: Hypothesis
    ) -> tuple[list[Hypothesis], bool, str]:
        """Return the scan without N4's field, or as it is, or both if neither is certain.

        Also return whether the field may be natural, and the flow's objection or "".
        """
        config = self.config
        if not config.n4:
            return [plain], True, ""
        with beside(partial(n4_field, self.population, image, mask)) as field:
            if config.likely_field and not field.done():
                _ = plain.likelihood.gain  # which most scans need
        estimate = field.result()
        natural = not bool(self.natural_fields.excess(estimate, config.evidence).any())
        # The whole field, not its posterior mean, which is smaller.
        exponent = exponent_of(image[mask], self.population.knots)
        bare = self.hypotheses.of(image, mask, exponent * (estimate - self.natural_fields.mean))
        gain = bare.score - plain.score
        if gain > config.decisive if config.likelihood_decides else not natural:
            return [bare], False, ""
        if natural:
            return [plain], True, ""
        if gain >= -config.decisive:
            return [bare, plain], False, ""
        objection = (
            f"the bias field of N4 lowers the likelihood by {-gain:.2f} nats per voxel "
            "(as with large ventricles); not removed"
        )
        return [plain], False, objection

    def _without_likely_field(self, image: Tensor, mask: Tensor, start: Hypothesis) -> Hypothesis:
        """Remove what the most likely gain has in excess of natural gains, if anything."""
        if not self.config.likely_field:
            return start
        excess = self.natural_gains.excess(start.likelihood.gain, self.config.evidence)
        if not bool(excess.any()) or not bool(excess.isfinite().all()):
            return start
        exponent = exponent_of(start.bare[mask], self.population.knots)
        return self.hypotheses.of(image, mask, start.field - exponent * excess)

    def _like_target(self, image: Tensor, mask: Tensor, plain: Hypothesis) -> bool:
        """Return whether quantiles and likelihood of a scan are those of a target scan."""
        departure = float((plain.own - self.population.knots).square().mean().sqrt())
        if departure > self.greatest_departure:
            return False
        as_it_is = self.hypotheses.likelihood(image, mask).per_voxel()
        return plain.score - as_it_is <= self.config.target_margin
