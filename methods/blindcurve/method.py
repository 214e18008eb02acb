"""`blindcurve`: learn from the target's own scans to undo the scanner's effect on intensities."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from harmbench import FitData, FitProgress, Grid, Method, Needs, Scans, ScanSet, seeded

from .._cosine_field import Cosines
from .config import ABLATIONS, PRESETS, BlindCurveConfig
from .curve_estimator import CurveEstimator, CurveLearner
from .features import N_SURROUNDINGS
from .field_estimator import FieldEstimator, beyond_natural, natural_fields, train_field_networks
from .guard import Guard, layout
from .maps import Curve, Map
from .network import Networks
from .population import LearnedPopulation, Population, apply_to_foreground, learn_population
from .ridge import Ridge


class BlindCurve(Method):
    r"""Predict the bias field and the curve that were put on a scan of the target.

    Matching a scan's quantiles to the target population's (the anchor) removes any monotone
    curve of the scanner, up to the difference between subject and population. That
    difference and the field are learned from target scans that were disturbed at random:

    1. *Field.* Small networks predict for every voxel, from its surroundings, how much too
       bright it is. The smooth field that fits the predictions best is divided out, and the
       prediction is repeated. The natural fields of target scans are estimated by networks
       that were not trained on the same subject; a field that is no more likely than those
       is only partly removed (`NaturalVariation.excess`).
    2. *Curve.* The strength of texture and noise at each intensity shows how the matched scan
       is stretched relative to this subject's own: a linear regression predicts how this
       subject's quantiles depart from the population's, and is repeated where they depart
       far. Parts of scans represent subjects who differ from the training subjects.

    A scan is changed by a field of few cosines and one smooth monotone curve only (`maps`),
    so no structure can be added.

    Attributes
    ----------
    knots
        `(K + 1,)`: mean quantiles of the target's subjects.
    components
        `(C, K + 1)`: how subjects' quantiles depart from them, in deviations.
    slicewise
        Whether the target's slices were min-max scaled one by one.
    """

    name = "blindcurve"
    summary = "learns to undo random curves and bias fields put on the target's own scans"
    needs = Needs.TARGET
    Config = BlindCurveConfig
    presets = PRESETS
    ablations = ABLATIONS

    config: BlindCurveConfig
    knots: Tensor
    components: Tensor
    slicewise: Tensor
    curve_mean: Tensor
    curve_deviation: Tensor
    curve_weights: Tensor
    curve_expected: Tensor
    spread: Tensor
    field_mean: Tensor
    field_covariance: Tensor

    def __init__(self, grid: Grid, config: Any = None) -> None:
        super().__init__(grid, config)
        config = self.config
        self.cosines = Cosines(config.degree)
        self.networks = self._new_networks(seed=0)
        P, C, K, D = len(self.cosines.terms), config.components, config.knots, 8 * config.textures
        self.register_buffer("knots", torch.zeros(K + 1))
        self.register_buffer("components", torch.zeros(C, K + 1))
        self.register_buffer("slicewise", torch.zeros((), dtype=torch.bool))
        self.register_buffer("curve_mean", torch.zeros(D))
        self.register_buffer("curve_deviation", torch.ones(D))
        self.register_buffer("curve_weights", torch.zeros(D, K + 1))
        self.register_buffer("curve_expected", torch.zeros(K + 1))
        self.register_buffer("spread", torch.ones(()))
        self.register_buffer("field_mean", torch.zeros(P))
        self.register_buffer("field_covariance", torch.eye(P))
        self.guard = Guard()

    def _new_networks(self, seed: int) -> Networks:
        with seeded(seed, self.name, "weights"):
            return Networks(self.config.folds, N_SURROUNDINGS, self.config.hidden)

    @property
    def _population(self) -> Population:
        return Population(self.knots, self.components)

    @property
    def _field_estimator(self) -> FieldEstimator:
        return FieldEstimator(
            config=self.config,
            grid=self.grid,
            cosines=self.cosines,
            networks=self.networks,
            population=self._population,
            slicewise=bool(self.slicewise),
        )

    @property
    def _curve_estimator(self) -> CurveEstimator:
        mean, deviation = self.curve_mean, self.curve_deviation
        ridge = Ridge(mean, deviation, self.curve_weights, self.curve_expected)
        return CurveEstimator(
            config=self.config,
            grid=self.grid,
            population=self._population,
            ridge=ridge,
            spread=self.spread,
            guard=self.guard,
        )

    # Fitting

    def fit(self, data: FitData, progress: FitProgress) -> None:
        """Learn from the target's scans: the population, then the field, then the curve."""
        target = data.target
        learned = learn_population(target, self.config.knots, self.config.components)
        self.slicewise.fill_(learned.slicewise)
        self.knots.copy_(learned.population.knots)
        self.components.copy_(learned.population.components)
        self.networks.load_state_dict(self._new_networks(data.seed).state_dict())
        estimator, subjects = self._field_estimator, learned.subject_of_scan
        train_field_networks(estimator, target, subjects, data.seed, self.name, progress)
        variation = natural_fields(estimator, target, subjects, data.validation)
        self.field_mean.copy_(variation.mean)
        self.field_covariance.copy_(variation.covariance)
        self._learn_curves(target, learned, data.seed, progress)

    def _learn_curves(
        self, target: ScanSet, learned: LearnedPopulation, seed: int, progress: FitProgress
    ) -> None:
        """Learn how textures depend on a subject's quantiles, and the guard's limits."""
        learner = CurveLearner(
            config=self.config,
            grid=self.grid,
            cosines=self.cosines,
            learned=learned,
            population=self._population,
            target=target,
        )
        curves = learner.learn(seed, self.name, progress)
        self.spread.copy_(curves.spread)
        self.curve_mean.copy_(curves.ridge.mean)
        self.curve_deviation.copy_(curves.ridge.deviation)
        self.curve_weights.copy_(curves.ridge.weights)
        self.curve_expected.copy_(curves.ridge.expected)
        self.guard.learn(curves.layouts, curves.standard_textures)

    # Harmonising

    def forward(self, scans: Scans) -> Scans:
        """Harmonise N scans independently; the background does not change."""
        maps = self.maps(scans)
        results = [
            scan_map(image, mask, self.cosines)
            for scan_map, image, mask in zip(maps, scans.images, scans.masks, strict=True)
        ]
        images = torch.stack(results) if results else scans.images.clone()
        return replace(scans, images=images, flags=tuple(scan_map.flag for scan_map in maps))

    @torch.no_grad()
    def maps(self, scans: Scans) -> list[Map]:
        """Return the map of each of N scans."""
        return [self._map(i, m) for i, m in zip(scans.images, scans.masks, strict=True)]

    def _map(self, image: Tensor, mask: Tensor) -> Map:
        """Estimate the map of a scan `(S, H, W)`."""
        config, slicewise, population = self.config, bool(self.slicewise), self._population
        field = torch.zeros_like(self.field_mean)
        if not bool(mask.any()):
            identity = Curve(*2 * [torch.linspace(0, 1, config.knots + 1, device=image.device)])
            return Map(
                field=field,
                curve=identity,
                anchor=identity,
                slicewise=slicewise,
                flag="no foreground",
                unchanged=True,
            )
        anchor = population.anchor(image[mask])
        if config.guard:
            cells = layout(apply_to_foreground(image, mask, anchor), mask)
            warning = self.guard.layout_warning(cells)
            if warning:
                return Map(
                    field=field,
                    curve=anchor,
                    anchor=anchor,
                    slicewise=slicewise,
                    flag=warning,
                    unchanged=True,
                )
        if config.field:
            estimate, exponent = self._field_estimator.estimate(image, mask, None)
            field = exponent * beyond_natural(
                estimate, self.field_mean, self.field_covariance, self.cosines.degrees, config
            )
        bare = Map(field=field, curve=anchor, anchor=anchor, slicewise=slicewise).without_field(
            image, self.cosines
        )
        anchor = population.anchor(bare[mask])
        if not config.curve:
            return Map(field=field, curve=anchor, anchor=anchor, slicewise=slicewise)
        curve, warning = self._curve_estimator.estimate(bare, mask, anchor)
        return Map(field=field, curve=curve, anchor=anchor, slicewise=slicewise, flag=warning)
