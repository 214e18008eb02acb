"""Estimation of a scan's curve: a regression of a subject's quantiles on textures."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from harmbench import FitProgress, Grid, ScanSet

from .._cosine_field import Cosines
from .config import BlindCurveConfig
from .disturb import disturbance_family, disturbed, draw_disturbances, draw_part, within
from .features import slice_step, two_scales
from .guard import Guard, layout
from .maps import Curve, ascending, foreground_quantiles, levels
from .population import (
    LearnedPopulation,
    Population,
    apply_to_foreground,
    load_scan,
    voxel_share,
)
from .ridge import Ridge, believed

# Drawn subjects depart from the population's quantiles by one of these numbers of deviations.
_DEPARTURES = (1.0, 2.5)


@dataclass(frozen=True, eq=False, kw_only=True)
class CurveEstimator:
    """The regression of a subject's quantiles on the textures of its matched scan.

    Attributes
    ----------
    config, grid
        Settings of the method, and the scans' grid.
    population
        The target's quantiles.
    ridge
        From textures to how a subject's quantiles depart from the curve's.
    spread
        Root mean square deviation of the target subjects' quantiles, a scalar.
    guard
        Limits of the textures.
    """

    config: BlindCurveConfig
    grid: Grid
    population: Population
    ridge: Ridge
    spread: Tensor
    guard: Guard

    def estimate(self, image: Tensor, mask: Tensor, anchor: Curve) -> tuple[Curve, str]:
        """Estimate the curve of a scan without its field, starting from the anchor.

        Returns
        -------
        tuple
            The curve, and a warning or "". With a warning of the guard the curve is the anchor.
        """
        config, ridge = self.config, self.ridge
        curve, last_size, warning = anchor, torch.inf, ""
        weight = voxel_share(levels(config.knots).to(anchor.y))
        for iteration in range(config.curve_iterations):
            textures = scan_textures(image, mask, curve, self.population, self.grid, config)
            standard = ridge.standardised(textures)
            unlike = self.guard.texture_warning(standard) if config.guard and iteration == 0 else ""
            if unlike:
                return anchor, unlike
            # A regression does not hold beyond its examples.
            step = ridge.predict(standard.clamp(-config.texture_limit, config.texture_limit))
            size = float((step.square() @ weight).sqrt() / self.spread)
            # A regression is accurate for small departures: after a large step it is repeated,
            # unless the steps grow.
            if size >= last_size:
                break
            change = curve.y + step - anchor.y
            change_size = change.square() @ weight / self.spread.square()
            change = believed(change, change_size, config.caution, config.departure_limit)
            warning = self._departure_warning(float(change_size.sqrt()))
            curve, last_size = Curve(anchor.x, ascending(anchor.y + change)), size
            if size < config.curve_tolerance:
                break
        return curve, warning

    def _departure_warning(self, size: float) -> str:
        """Return a warning of a subject who departs far from the target's subjects, or ""."""
        limit = self.config.departure_limit
        if size <= limit:
            return ""
        return (
            f"the subject seems to depart from the target's subjects by {size:.1f} natural "
            f"deviations, as with large ventricles; at most {limit:g} are corrected"
        )


@dataclass(frozen=True, eq=False, kw_only=True)
class LearnedCurves:
    """The results of fitting curves to disturbed scans of the target.

    Attributes
    ----------
    ridge
        From textures to quantiles.
    spread
        Root mean square deviation of the subjects' quantiles, a scalar.
    layouts
        `(n, cells)`: of the target's scans as they are.
    standard_textures
        `(m, D)`: of the scans that the regression is fitted to.
    """

    ridge: Ridge
    spread: Tensor
    layouts: Tensor
    standard_textures: Tensor


@dataclass(frozen=True, eq=False, kw_only=True)
class CurveLearner:
    """Fits the regression on the target's scans, as they are and disturbed.

    Attributes
    ----------
    config, grid, cosines
        Settings of the method, the scans' grid, and the terms of fields.
    learned
        The target's quantiles.
    population
        The same population on the device that computes.
    target
        The target's scans.
    """

    config: BlindCurveConfig
    grid: Grid
    cosines: Cosines
    learned: LearnedPopulation
    population: Population
    target: ScanSet

    @torch.no_grad()
    def learn(self, seed: int, name: str, progress: FitProgress) -> LearnedCurves:
        """Fit the regression; the random streams are called after `name`."""
        config, population, target = self.config, self.population, self.target
        count = max(config.curve_disturbances, len(target))
        # Fields are removed before the curve is estimated, so no field is drawn here.
        family = disturbance_family(config, fields=False)
        draws = draw_disturbances(
            len(target), count, family, self.cosines, seed=seed, names=(name, "curves")
        )
        textures, departures, layouts = [], [], []
        at = levels(config.knots)
        for i, (n, disturbance, random) in enumerate(
            progress.track(draws, "blindcurve: disturbed curves", count)
        ):
            image, mask = load_scan(target, n, population.knots.device)
            if not bool(mask.any()):
                continue
            truth = image
            if i < len(target):  # undisturbed, matched to the other subjects
                knots = self._mean_of_others(n)
                anchor = population.anchor(image[mask])
                layouts.append(layout(apply_to_foreground(image, mask, anchor), mask).cpu())
            else:
                if config.noise or config.blur:
                    slicewise = self.learned.slicewise
                    image = disturbed(image, mask, disturbance, self.cosines, slicewise)
                mask, knots = self._draw_subject(mask, random)
            anchor = population.anchor(image[mask], knots)
            row = scan_textures(image, mask, anchor, population, self.grid, config)
            textures.append(row.cpu())
            departures.append(foreground_quantiles(truth[mask], at).cpu() - anchor.y.cpu())
        ridge = Ridge.of(torch.stack(textures), torch.stack(departures), 2, config.penalty)
        quantiles = self.learned.quantiles
        deviations = (quantiles - quantiles.mean(dim=0)).square() @ voxel_share(at)
        return LearnedCurves(
            ridge=ridge,
            spread=deviations.mean().sqrt(),
            layouts=torch.stack(layouts),
            standard_textures=ridge.standardised(torch.stack(textures)),
        )

    def _mean_of_others(self, n: int) -> Tensor:
        """Return the mean quantiles of the subjects other than that of scan n."""
        subjects = self.learned.subject_of_scan
        others = self.learned.quantiles[subjects != subjects[n]]
        knots = self.population.knots
        return others.mean(dim=0).to(knots) if len(others) else knots

    def _draw_subject(self, mask: Tensor, random: np.random.Generator) -> tuple[Tensor, Tensor]:
        """Draw a part of a scan to look at, and the quantiles of a subject to match it to."""
        if random.uniform() < self.config.partial:
            mask = within(mask, draw_part(random))
        size = random.choice(_DEPARTURES)
        deviations = size * random.standard_normal(len(self.population.components))
        return mask, self.population.other_subjects(torch.from_numpy(deviations).float())


def scan_textures(
    image: Tensor,
    mask: Tensor,
    curve: Curve,
    population: Population,
    grid: Grid,
    config: BlindCurveConfig,
) -> Tensor:
    """Return the textures `(D,)` of a scan `(S, H, W)` under a curve."""
    # Neighbouring slices have similar textures.
    step = slice_step(grid)
    image, mask = image[::step], mask[::step]
    edges = population.at(torch.arange(1, config.textures) / config.textures)
    return two_scales(apply_to_foreground(image, mask, curve), mask, edges)
