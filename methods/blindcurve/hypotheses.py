"""Scans without one field or another, matched to the target's quantiles, and their likelihood."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from harmbench import torch_generator

from .._quantiles import evenly_spaced_quantiles
from ..blindharmony.flow.flow import Flow
from ..histogram import interpolate
from .likelihood import Likelihood
from .maps import without_field
from .population import Population

_MIN_WIDTH = 1e-3  # of the bins of the curve
_SLOPES = 33  # quantiles whose differences give the slope of a match of quantiles


@dataclass(frozen=True, eq=False, kw_only=True)
class Hypothesis:
    """A scan without a field, matched to the population's quantiles.

    Attributes
    ----------
    field
        `(P,)` coefficients of the field's logarithm.
    bare, matched
        `(S, H, W)`: without the field, and with the population's quantiles.
    own
        `(K,)`: quantiles of `bare`.
    likelihood
        Of corrections of `matched`.
    score
        Log-density of the scan, in nats per voxel.
    """

    field: Tensor
    bare: Tensor
    matched: Tensor
    own: Tensor
    likelihood: Likelihood
    score: float


@dataclass(frozen=True, eq=False)
class Hypotheses:
    """What hypotheses about scans need.

    Attributes
    ----------
    population
        What scans are matched to.
    flow
        The density of the target's slices.
    seed
        Of the noise that dequantises slices; it is the same for all scans.
    """

    population: Population
    flow: Flow
    seed: int

    def plain(self, image: Tensor, mask: Tensor) -> Hypothesis:
        """Return the hypothesis that a scan `(S, H, W)` has no field."""
        return self.of(image, mask, image.new_zeros(len(self.population.cosines.terms)))

    def of(self, image: Tensor, mask: Tensor, field: Tensor) -> Hypothesis:
        """Remove a field `(P,)` from a scan, and match the rest to the population's quantiles."""
        population, knots = self.population, self.population.knots
        log_field = population.cosines.field(field, population.grid.shape)
        bare = without_field(image, log_field, slicewise=population.slicewise)
        own = evenly_spaced_quantiles(bare[mask], len(knots))
        values = interpolate(bare[mask], own, knots).clamp(0, 1)
        matched = image.masked_scatter(mask, values)
        likelihood = self.likelihood(matched, mask & (image > 0) & (matched > 0))
        # By the change of variables: the field's part, and the mean logarithm of the match's slope.
        at = torch.linspace(0, len(own) - 1, _SLOPES, device=own.device).round().long()
        rise, width = (x[at].diff().clamp_min(1e-5) for x in (knots, own))
        score = (
            likelihood.per_voxel()
            - float(log_field[mask].mean())
            + float((rise / width).log().mean())
        )
        return Hypothesis(
            field=field, bare=bare, matched=matched, own=own, likelihood=likelihood, score=score
        )

    def likelihood(self, image: Tensor, mask: Tensor) -> Likelihood:
        """Return the likelihood of corrections of a scan, by some of its slices with foreground."""
        population = self.population
        shown = mask.flatten(1).any(dim=1).nonzero().squeeze(1)
        count = min(population.config.likelihood_slices, len(shown))
        places = (torch.arange(count, device=shown.device) + 0.5) * len(shown) / count
        index = shown[places.long()]
        generator = torch_generator(self.seed, "blindcurve", "noise")
        noise = torch.rand(population.grid.shape, generator=generator).to(image)[index]
        return Likelihood(
            log_prob=lambda y: self.flow.log_prob(self.flow.dequantize(y, noise)),
            image=image[index],
            mask=mask[index],
            basis=population.cosines.basis(index, population.grid.shape),
            degrees=population.cosines.degrees.to(image),
            knots=self.curve_knots,
            slicewise=population.slicewise,
            config=population.config,
        )

    @property
    def curve_knots(self) -> Tensor:
        """Knots of curves between which the population has equally many voxels: `(K + 1,)`."""
        knots = evenly_spaced_quantiles(
            self.population.knots, self.population.config.curve_bins + 1
        )
        width = knots.diff().clamp_min(_MIN_WIDTH)
        return torch.cat((width.new_zeros(1), (width / width.sum()).cumsum(dim=0)))
