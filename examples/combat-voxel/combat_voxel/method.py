"""ComBat for every voxel: location and scale of a scanner, shrunk by empirical Bayes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from harmbench import (
    FitData,
    FitProgress,
    Grid,
    Method,
    Needs,
    Scans,
    ScanSet,
    UserError,
)

_TINY = 1e-12


@dataclass(frozen=True)
class ComBatConfig:
    """Settings.

    Attributes
    ----------
    least_scans
        Minimum number of scans of each domain in which a voxel must be brain to be estimated.
    shrink
        Whether estimates are shrunk towards the distribution over all voxels.
    iterations
        Maximum number of iterations of the posterior's equations.
    tolerance
        Relative change at convergence.

    Raises
    ------
    UserError
        If a value is outside its range.
    """

    least_scans: int = 3
    shrink: bool = True
    iterations: int = 100
    tolerance: float = 1e-4

    def __post_init__(self) -> None:
        if self.least_scans < 2:
            raise UserError("least_scans must be at least 2")
        if self.iterations < 1 or not self.tolerance > 0:
            raise UserError("iterations must be at least 1, and tolerance positive")


@dataclass(frozen=True, eq=False)
class Moments:
    """Moments of the scans of one domain at each of V voxels.

    Attributes
    ----------
    n
        `(V,)`: number of scans in which the voxel is brain.
    mean, squares
        `(V,)` float64: mean over these scans, and sum of squared deviations from it.
    """

    n: Tensor
    mean: Tensor
    squares: Tensor

    @classmethod
    def of(cls, scans: ScanSet, progress: FitProgress) -> Moments:
        """Collect the moments of all scans, one at a time (Welford 1962)."""
        shape = scans.grid.shape
        n, mean, squares = (torch.zeros(shape, dtype=torch.float64) for _ in range(3))
        title = f"combat-voxel: moments of {scans.domain}"
        for batch in progress.track(scans.batches(), title, len(scans)):
            image, mask = batch.images[0].double(), batch.masks[0]
            n += mask
            step = torch.where(mask, image - mean, 0.0)
            mean += step / n.clamp_min(1)
            squares += torch.where(mask, step * (image - mean), 0.0)
        return cls(n.flatten(), mean.flatten(), squares.flatten())

    def at(self, voxels: Tensor) -> Moments:
        """Return the moments at some voxels."""
        return Moments(self.n[voxels], self.mean[voxels], self.squares[voxels])


def standardized(source: Moments, target: Moments) -> tuple[Moments, Tensor]:
    """Return the source's moments in units of sigma, and sigma `(V,)`.

    The target is the reference batch (M-ComBat, Stein et al. 2015): alpha and sigma of
    Z = (Y - alpha) / sigma are the target's mean and deviation.
    """
    sigma = (target.squares / target.n).sqrt().clamp_min(1e-3)
    z = Moments(source.n, (source.mean - target.mean) / sigma, source.squares / sigma.square())
    return z, sigma


def posterior(z: Moments, config: ComBatConfig) -> tuple[Tensor, Tensor]:
    r"""Return the source's location gamma and squared scale delta^2 at V voxels.

    Johnson et al. 2007, equations of section 3.2. Over voxels, gamma is normal with mean
    :math:`\bar\gamma` and variance :math:`\tau^2`, and delta^2 is inverse gamma with shape a
    and scale b, by the method of moments. The posterior means solve

    .. math::
        \gamma^* = \frac{n \tau^2 \hat\gamma + \delta^{2*} \bar\gamma}{n \tau^2 + \delta^{2*}},
        \quad
        \delta^{2*} = \frac{b + \frac12 \sum (Z - \gamma^*)^2}{n / 2 + a - 1},

    where :math:`\sum (Z - \gamma^*)^2 = \sum (Z - \hat\gamma)^2 + n (\hat\gamma - \gamma^*)^2`,
    so the moments of the scans are sufficient.
    """
    n, gamma_hat = z.n, z.mean
    delta2_hat = (z.squares / (n - 1)).clamp_min(_TINY)
    if not config.shrink:
        return gamma_hat, delta2_hat
    gamma_bar, tau2 = gamma_hat.mean(), gamma_hat.var().clamp_min(_TINY)
    m, s2 = delta2_hat.mean(), delta2_hat.var().clamp_min(_TINY)
    a, b = m.square() / s2 + 2, m * (m.square() / s2 + 1)
    gamma, delta2 = gamma_hat, delta2_hat
    for _ in range(config.iterations):
        before = gamma, delta2
        gamma = (n * tau2 * gamma_hat + delta2 * gamma_bar) / (n * tau2 + delta2)
        squares = z.squares + n * (gamma_hat - gamma).square()
        delta2 = (b + squares / 2) / (n / 2 + a - 1)
        change = max(
            float((new - old).abs().max() / old.abs().max().clamp_min(_TINY))
            for new, old in zip((gamma, delta2), before, strict=True)
        )
        if change < config.tolerance:
            break
    return gamma, delta2


class ComBatVoxel(Method):
    r"""Transform every voxel to its location and scale on the target's scanner.

    ComBat (Johnson et al. 2007; on images, Fortin et al. 2017) with the target as the
    reference batch and without covariates. A scan of the source becomes

    .. math:: Y^* = \sigma (Z - \gamma^*) / \delta^* + \alpha,

    which is a linear function at each voxel. Voxels that are brain in fewer than `least_scans`
    scans get the mean slope and offset of the other voxels.

    Attributes
    ----------
    slope, offset
        `(S, H, W)` float32: coefficients of the linear functions.
    """

    name = "combat-voxel"
    summary = "location and scale of every voxel by empirical Bayes, target as reference"
    needs = Needs.UNPAIRED
    reference = "https://doi.org/10.1093/biostatistics/kxj037"
    Config = ComBatConfig
    ablations: ClassVar = {"no shrinkage": {"shrink": False}}

    config: ComBatConfig
    slope: Tensor
    offset: Tensor

    def __init__(self, grid: Grid, config: Any = None) -> None:
        super().__init__(grid, config)
        self.register_buffer("slope", torch.ones(grid.shape))
        self.register_buffer("offset", torch.zeros(grid.shape))

    def fit(self, data: FitData, progress: FitProgress) -> None:
        """Estimate slopes and offsets from the training scans of both domains, without pairs.

        Raises
        ------
        UserError
            If no voxel is brain in enough scans of both domains.
        """
        source, target = (Moments.of(scans, progress) for scans in (data.source, data.target))
        estimated = (source.n >= self.config.least_scans) & (target.n >= self.config.least_scans)
        if not bool(estimated.any()):
            raise UserError(
                f"combat-voxel needs {self.config.least_scans} scans of both domains, and has "
                f"{len(data.source)} of '{data.source.domain}' and {len(data.target)} of "
                f"'{data.target.domain}'; lower combat-voxel.least_scans"
            )
        source, target = source.at(estimated), target.at(estimated)
        z, sigma = standardized(source, target)
        gamma, delta2 = posterior(z, self.config)
        slope = delta2.rsqrt()
        offset = target.mean - slope * (target.mean + sigma * gamma)
        for buffer, values in ((self.slope, slope), (self.offset, offset)):
            volume = torch.full(estimated.shape, float(values.mean()), dtype=torch.float64)
            volume[estimated] = values
            buffer.copy_(volume.view(self.grid.shape))
        progress.fact("voxels", int(estimated.sum()))
        progress.fact("mean_slope", float(slope.mean()))

    def forward(self, scans: Scans) -> Scans:
        """Harmonise N scans voxel by voxel; the background does not change."""
        images = (self.slope * scans.images + self.offset).clamp(0, 1)
        return scans.with_images(torch.where(scans.masks, images, scans.images))
