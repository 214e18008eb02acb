"""The bias field that small networks estimate, which learn from disturbed scans of the target."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from harmbench import FitProgress, ScanSet, numpy_generator

from .._quantiles import quantiles
from ..histogram import match
from .disturbances import Disturbance, disturbed, draw
from .maps import without_field
from .networks import Networks, train_networks
from .population import Population
from .surroundings import Surroundings, slice_step

# Levels of the population's quantiles that divide the intensities of surroundings.
_PARTS = torch.tensor([3, 6, 9, 12, 15]) / 16
_STRIDE = 3  # of the voxels that a field is estimated by
_CONVERGED = 0.02  # length of a step, in coefficients, after which the iterations end
_MIDDLE = torch.linspace(0.15, 0.98, 25)  # levels of quantiles whose logarithms are compared


def exponent_of(values: Tensor, knots: Tensor) -> float:
    """Return the power that a scan's curve is most like.

    The slope of the logarithms of the foreground's quantiles over those of the population's:
    a factor on the scan is this power of a factor on the matched scan.
    """
    own, population = (quantiles(v, _MIDDLE).clamp_min(1e-3).log() for v in (values, knots))
    u, v = population - population.mean(), own - own.mean()
    return float(((u * v).sum() / u.square().sum().clamp_min(1e-9)).clamp(0.1, 10))


@dataclass(frozen=True, eq=False)
class FieldEstimator:
    """Networks that estimate for voxels how much too bright they are, and the field they imply.

    Attributes
    ----------
    population
        What scans are matched to.
    networks
        One for each fold of subjects.
    """

    population: Population
    networks: Networks

    @torch.no_grad()
    def estimate(self, image: Tensor, mask: Tensor, fold: int | None = None) -> Tensor:
        """Estimate a scan's field, by all networks or by that of one fold.

        Returns
        -------
        Tensor
            `(P,)` coefficients of the field's logarithm as it is on the matched scan.
        """
        config, cosines = self.population.config, self.population.cosines
        knots, slicewise = self.population.knots, self.population.slicewise
        field = torch.zeros(len(cosines.terms)).to(knots)
        exponent = 1.0
        prior = config.network_prior * cosines.degrees.to(field).square().diag()
        step, count = slice_step(self.population.grid), len(image)
        part, inside = image[::step], mask[::step]
        if not bool(inside.any()):
            return field
        shape = (count, image.shape[1], image.shape[2])
        for _ in range(config.network_iterations):
            log_field = cosines.field(field, shape, step)
            bare = without_field(part, log_field, slicewise=slicewise)
            exponent = exponent_of(bare[inside], knots)
            around = self._surroundings(match(bare, inside, knots), inside, count)
            chosen = torch.arange(0, len(around.features), _STRIDE, device=field.device)
            if not len(chosen):
                break
            estimates = self.networks(around.features[chosen])
            estimate = estimates.mean(dim=0) if fold is None else estimates[fold]
            terms = self._visible_terms(bare, around, chosen, count)
            precision = terms.T @ terms / len(chosen) + prior
            change = torch.linalg.solve(precision, terms.T @ estimate / len(chosen))
            field = field + exponent * change
            if float(change.norm()) < _CONVERGED:
                break
        return field / exponent

    def examples(
        self,
        image: Tensor,
        mask: Tensor,
        disturbance: Disturbance,
        knots: Tensor,
        random: np.random.Generator,
    ) -> tuple[Tensor, Tensor]:
        """Disturb a scan, match it to `knots` and draw voxels.

        Returns
        -------
        tuple
            `(n, D)` features, and `(n,)` logarithms of the field at these voxels.
        """
        population = self.population
        scan = disturbed(image, mask, disturbance, population.cosines, population.slicewise)
        step, count = slice_step(population.grid), len(image)
        part, inside = scan[::step], mask[::step]
        around = self._surroundings(match(part, inside, knots), inside, count)
        chosen = torch.from_numpy(
            random.permutation(len(around.features))[: population.config.voxels]
        )
        chosen = chosen.to(image.device)
        exponent = exponent_of(scan[mask], knots)
        terms = self._visible_terms(part, around, chosen, count)
        return around.features[chosen], terms @ disturbance.field.to(terms) / exponent

    def _surroundings(self, matched: Tensor, inside: Tensor, count: int) -> Surroundings:
        """Compute features of every `slice_step`-th of `count` slices."""
        edges = quantiles(self.population.knots, _PARTS)
        return Surroundings.of(matched * inside, inside, edges, self.population.grid, count)

    def _visible_terms(
        self, part: Tensor, around: Surroundings, chosen: Tensor, count: int
    ) -> Tensor:
        """Return the effect `(n, P)` of the cosines on chosen voxels of the given slices.

        Where slices are scaled by their maxima, a field is visible relative to its value at the
        maximum; else relative to its mean.
        """
        cosines = self.population.cosines
        terms = cosines.at(around.positions[chosen])
        if not self.population.slicewise:
            return terms - terms.mean(dim=0)
        step = slice_step(self.population.grid)
        _, H, W = part.shape
        top = part.flatten(1).argmax(dim=1)
        slices = step * torch.arange(len(top), device=top.device)
        maxima = torch.stack((slices, top // W, top % W), dim=1)
        sides = torch.tensor((count, H, W), device=top.device)
        return terms - cosines.at((maxima + 0.5) / sides)[around.slices[chosen] // step]


def train_field_networks(
    estimator: FieldEstimator,
    target: ScanSet,
    departures: Tensor,
    folds: Tensor,
    seed: int,
    progress: FitProgress,
) -> None:
    """Train the networks on disturbed scans of the target.

    Parameters
    ----------
    estimator
        With freshly initialised networks.
    target
        N scans.
    departures
        `(N, K)`: quantiles of these scans less the population's. Subjects differ by nature, which
        the networks must not attribute to a field: so scans are matched to random subjects.
    folds
        `(N,)`: index of the network that is not trained on the scan.
    seed
        Of the disturbances and of the training.
    progress
        Receives the training's progress.
    """
    population, config, pool = estimator.population, estimator.population.config, []
    counts = range(config.disturbances)
    for i in progress.track(counts, "blindcurve: disturbed scans", config.disturbances):
        n = i % len(target)
        scan = target.load([n]).to(population.knots.device)
        if not bool(scan.masks.any()):
            continue
        random = numpy_generator(seed, "blindcurve", "fields", i)
        disturbance = draw(random, config, population.cosines)
        other = departures[random.integers(len(departures))].to(population.knots)
        knots = population.knots + 0.5 * float(random.standard_normal()) * other
        knots = torch.cummax(knots.clamp(0, 1), dim=0).values
        voxels = estimator.examples(scan.images[0], scan.masks[0], disturbance, knots, random)
        pool.append((*voxels, folds[n].to(voxels[1].device).expand(len(voxels[1]))))
    features, fields, owners = (torch.cat(parts) for parts in zip(*pool, strict=True))
    train_networks(estimator.networks, features, fields, owners, config, seed, progress)
