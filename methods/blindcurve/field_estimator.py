"""Estimation of a scan's bias field by networks that are trained on disturbed scans."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.optim.lr_scheduler import OneCycleLR

from harmbench import FitProgress, Grid, Phase, ScanSet, torch_generator, train

from .._cosine_field import Cosines
from ..blindharmony_ml.shrinkage import NaturalVariation
from .config import BlindCurveConfig
from .disturb import Disturbance, disturbance_family, disturbed, draw_disturbances
from .features import Surroundings, slice_step
from .maps import Curve, in_range
from .network import Networks, Voxels
from .population import Population, apply_to_foreground, load_scan

# Levels of the population's quantiles that part the intensities of surroundings.
_PARTS = torch.tensor([3, 6, 9, 12, 15]) / 16
_STRIDE = 3  # of the voxels that a field is estimated by
_CONVERGED = 0.02  # length of a step, in coefficients, after which the iterations end


@dataclass(frozen=True, eq=False, kw_only=True)
class FieldEstimator:
    """Networks that guess for voxels how much too bright they are, and the field they imply.

    Attributes
    ----------
    config, grid
        Settings of the method, and the scans' grid.
    cosines
        The terms of the field.
    networks
        One for each fold of subjects.
    population
        The target's quantiles, which scans are matched to.
    slicewise
        Whether the target's slices were min-max scaled one by one.
    """

    config: BlindCurveConfig
    grid: Grid
    cosines: Cosines
    networks: Networks
    population: Population
    slicewise: bool

    @property
    def device(self) -> torch.device:
        """Where the population and the networks are."""
        return self.population.knots.device

    def estimate(self, image: Tensor, mask: Tensor, fold: int | None) -> tuple[Tensor, float]:
        """Estimate a scan's field, by all networks or by that of one fold.

        Returns
        -------
        tuple
            Coefficients `(P,)` of the field as it would be on a scan with the target's curve,
            and the exponent that turns them into the scan's own field.
        """
        field = torch.zeros(len(self.cosines.terms)).to(self.population.knots)
        exponent = 1.0
        degrees = self.cosines.degrees.to(field)
        step, count = slice_step(self.grid), len(image)
        part, inside = image[::step], mask[::step]
        shape = (count, image.shape[1], image.shape[2])
        for _ in range(self.config.iterations):
            factor = (-self.cosines.field(field, shape, step)).exp()
            bare = in_range(part * factor, part, self.slicewise)
            anchor = self.population.anchor(bare[inside])
            around = self._surroundings(bare, inside, anchor, count)
            chosen = torch.arange(0, len(around.features), _STRIDE, device=field.device)
            if not len(chosen):
                break
            guesses = self.networks(around.features[chosen])
            guess = guesses.mean(dim=0) if fold is None else guesses[fold]
            terms = self._visible_terms(bare, around, chosen, count)
            precision = terms.T @ terms / len(chosen) + self.config.prior * degrees.square().diag()
            exponent = anchor.exponent
            change = torch.linalg.solve(precision, terms.T @ guess / len(chosen))
            field = field + exponent * change
            if float(change.norm()) < _CONVERGED:
                break
        return field / exponent, exponent

    def training_voxels(
        self, image: Tensor, mask: Tensor, disturbance: Disturbance, random: np.random.Generator
    ) -> tuple[Tensor, Tensor] | None:
        """Disturb a scan and draw voxels: `(n, D)` features and the field at these voxels, `(n,)`.

        None for a scan without foreground.
        """
        disturbed_scan = disturbed(image, mask, disturbance, self.cosines, self.slicewise)
        if not bool(mask.any()):
            return None
        # Subjects differ by nature: the networks must not attribute that to the field.
        components = len(self.population.components)
        deviations = torch.from_numpy(0.5 * random.standard_normal(components)).float()
        anchor = self.population.anchor(
            disturbed_scan[mask], self.population.other_subjects(deviations)
        )
        step = slice_step(self.grid)
        part = disturbed_scan[::step]
        around = self._surroundings(part, mask[::step], anchor, len(disturbed_scan))
        chosen = torch.from_numpy(random.permutation(len(around.features))[: self.config.voxels])
        chosen = chosen.to(self.device)
        coefficients = torch.tensor(disturbance.field, device=self.device) / anchor.exponent
        visible = self._visible_terms(part, around, chosen, len(disturbed_scan)) @ coefficients
        return around.features[chosen], visible

    def _surroundings(
        self, part: Tensor, inside: Tensor, anchor: Curve, count: int
    ) -> Surroundings:
        """Compute features of every `slice_step`-th of `count` slices, given with foreground."""
        matched = apply_to_foreground(part, inside, anchor)
        return Surroundings.of(matched, inside, self.population.at(_PARTS), self.grid, count)

    def _visible_terms(
        self, part: Tensor, around: Surroundings, chosen: Tensor, count: int
    ) -> Tensor:
        """Return the effect `(n, P)` of the cosines on chosen voxels of the given slices.

        Where slices are scaled by their maxima, a field is visible relative to its value at the
        maximum; else relative to its mean.
        """
        terms = self.cosines.at(around.positions[chosen])
        if not self.slicewise:
            return terms - terms.mean(dim=0)
        step = slice_step(self.grid)
        _, H, W = part.shape
        top = part.flatten(1).argmax(dim=1)
        slices = step * torch.arange(len(top), device=top.device)
        maxima = torch.stack((slices, top // W, top % W), dim=1)
        sides = torch.tensor((count, H, W), device=top.device)
        return terms - self.cosines.at((maxima + 0.5) / sides)[around.slices[chosen] // step]


def train_field_networks(
    estimator: FieldEstimator,
    target: ScanSet,
    subject_of_scan: Tensor,
    seed: int,
    name: str,
    progress: FitProgress,
) -> None:
    """Train the estimator's networks, freshly initialised, on voxels of disturbed scans."""
    config, networks, device = estimator.config, estimator.networks, estimator.device
    features, visible, owner = _voxel_pool(estimator, target, subject_of_scan, seed, name, progress)
    networks.mean.copy_(features.mean(dim=0))
    networks.deviation.copy_(features.std(dim=0).clamp_min(1e-4))
    optimizer = torch.optim.AdamW(
        networks.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
    )
    steps = config.training_steps
    schedule = OneCycleLR(optimizer, config.learning_rate, total_steps=steps + 1, pct_start=0.1)
    # A network is not trained on the subjects of its fold, unless there is only one fold.
    folds = torch.arange(config.folds, device=device)[:, None]
    single = (int(subject_of_scan.max()) < 1) | (config.folds < 2)

    def squared_error(x: Tensor, y: Tensor, fold: Tensor) -> Tensor:
        weight = ((fold != folds) | single).to(x.dtype)
        error = (networks(x) - y).square()
        loss: Tensor = (weight * error).sum() / weight.sum().clamp_min(1)
        return loss

    voxels = Voxels(
        features,
        visible,
        owner,
        size=config.batch_size,
        generator=torch_generator(seed, name, "voxels"),
    )
    phase = Phase(loss=squared_error, optimizer=optimizer, schedule=schedule)
    measure = "squared error of the field"
    train(networks, voxels, phase, progress, name=name, steps=steps, measure=measure)


def _voxel_pool(
    estimator: FieldEstimator,
    target: ScanSet,
    subject_of_scan: Tensor,
    seed: int,
    name: str,
    progress: FitProgress,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return features, visible field and fold of voxels of all disturbed scans."""
    config, device, count = estimator.config, estimator.device, estimator.config.field_disturbances
    family = disturbance_family(config, fields=True)
    draws = draw_disturbances(
        len(target), count, family, estimator.cosines, seed=seed, names=(name, "fields")
    )
    pool: list[tuple[Tensor, Tensor, Tensor]] = []
    for n, disturbance, random in progress.track(draws, "blindcurve: disturbed scans", count):
        image, mask = load_scan(target, n, device)
        voxels = estimator.training_voxels(image, mask, disturbance, random)
        if voxels is None:
            continue
        fold = int(subject_of_scan[n]) % config.folds
        pool.append((*voxels, torch.full((len(voxels[1]),), fold, device=device)))
    features, visible, owner = (torch.cat(parts) for parts in zip(*pool, strict=True))
    return features, visible, owner


@torch.no_grad()
def natural_fields(
    estimator: FieldEstimator, target: ScanSet, subject_of_scan: Tensor, validation: ScanSet
) -> NaturalVariation:
    """Estimate the fields of undisturbed scans by networks that were not trained on them."""
    fields: list[Tensor] = []
    subjects: list[str] = []
    folds_of_target = (subject_of_scan % estimator.config.folds).tolist()
    for scans, folds in ((target, folds_of_target), (validation, None)):
        for n in range(len(scans)):
            image, mask = load_scan(scans, n, estimator.device)
            if bool(mask.any()):
                field, _ = estimator.estimate(image, mask, None if folds is None else folds[n])
                fields.append(field.cpu())
                subjects.append(scans.subjects[n])
    return NaturalVariation.calibrated(torch.stack(fields), estimator.cosines.degrees, subjects)


def beyond_natural(
    field: Tensor, mean: Tensor, covariance: Tensor, degrees: Tensor, config: BlindCurveConfig
) -> Tensor:
    """Return a field `(P,)`, or a part of it where target scans may have one like it by nature.

    A scan of the target may keep its natural field. From a scan of another scanner it is
    better to remove that, too, because the subject's target scan has a different one.
    """
    variation = NaturalVariation(mean.cpu(), covariance.cpu())
    excess = variation.excess(field.cpu(), degrees, config.evidence)
    # The whole field: removing the posterior mean, which is smaller, costs 1 to 2 dB.
    return (1.0 if bool(excess.any()) else config.natural) * (field - mean)
