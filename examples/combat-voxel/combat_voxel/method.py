"""ComBat for every voxel: location and scale of each site, by neuroCombat."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from neuroCombat import neuroCombat
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
    from_json_tensor,
    json_tensor,
)

from .covariates import columns_of, design, is_text

Array = npt.NDArray[np.float64]

_SITE = "harmbench site"  # no covariate has this name


@dataclass(frozen=True)
class ComBatConfig:
    """Settings.

    Attributes
    ----------
    least_scans
        Minimum number of training scans of a site; sites with fewer count as unseen.
    shrink
        Whether estimates are shrunk towards the distribution over all voxels (empirical Bayes).

    Raises
    ------
    UserError
        If `least_scans` is below 2.
    """

    least_scans: int = 2
    shrink: bool = True

    def __post_init__(self) -> None:
        if self.least_scans < 2:
            raise UserError("least_scans must be at least 2")


class ComBatVoxel(Method):
    r"""Transform every voxel from its location and scale at a site to those at the target.

    ComBat (Johnson et al. 2007; on images, Fortin et al. 2017) models a voxel of a scan of site
    s with covariates x as

    .. math:: y = \alpha + x \beta + \sigma (\gamma_s + \delta_s \epsilon).

    neuroCombat estimates all of these from the training scans of all sites together. A scan then
    becomes what the target t would have measured,

    .. math::
        y^* = \alpha + x \beta + \sigma \left( \gamma_t + \frac{\delta_t}{\delta_s}
        \left( \frac{y - \alpha - x \beta}{\sigma} - \gamma_s \right) \right),

    so that the effects :math:`x \beta` of the covariates are preserved. Voxels that are not brain
    in all training scans get the mean line of the others. A site that the fit does not know is
    transformed by the mean of the known ones, with a warning.

    Attributes
    ----------
    model
        Sites and covariates, as `json_tensor`.
    slope, shift
        `(sites, S, H, W)` float32: :math:`\delta_t / \delta_s`, and
        :math:`\sigma (\gamma_t - \gamma_s \delta_t / \delta_s)`.
    mean, effects
        `(S, H, W)` and `(p, S, H, W)` float32: :math:`\alpha` and :math:`\beta`.
    """

    name = "combat-voxel"
    summary = "location and scale of every voxel and site by neuroCombat"
    needs = Needs.SITES
    reference = "https://doi.org/10.1016/j.neuroimage.2017.08.047"
    Config = ComBatConfig
    ablations: ClassVar = {"no shrinkage": {"shrink": False}}

    config: ComBatConfig
    model: Tensor
    slope: Tensor
    shift: Tensor
    mean: Tensor
    effects: Tensor

    def __init__(self, grid: Grid, config: Any = None) -> None:
        super().__init__(grid, config)
        self.register_buffer("model", json_tensor({}))
        for name in ("slope", "shift", "effects"):
            self.register_buffer(name, torch.zeros((0, *grid.shape)))
        self.register_buffer("mean", torch.zeros(grid.shape))

    def fit(self, data: FitData, progress: FitProgress) -> None:
        """Estimate all parameters from the training scans of all sites.

        Raises
        ------
        UserError
            If too few sites have enough scans, or sites and covariates are collinear.
        """
        least, target = self.config.least_scans, data.target.domain
        sites = {name: scans for name, scans in data.sites.items() if len(scans) >= least}
        if target not in sites or len(sites) < 2:
            counts = ", ".join(f"{len(scans)} of '{name}'" for name, scans in data.sites.items())
            raise UserError(
                f"{self.name} needs {least} training scans of '{target}' and of another site, and "
                f"has {counts}; give more subjects"
            )
        values, voxels = _voxel_values(sites, progress)
        table = _covariate_table(sites)
        columns = columns_of(table)
        x = design(table, columns, values.shape[1])
        site_of = np.repeat(list(sites), [len(scans) for scans in sites.values()])
        _check_rank(self.name, site_of, x)
        progress.note("combat-voxel: neuroCombat")
        found = _estimates(values, site_of, table, self.config)
        names = [str(name) for name in np.unique(site_of)]
        self.model = json_tensor({"sites": names, "target": target, "columns": columns})
        self._keep(found, x, names.index(target), voxels)
        progress.fact("voxels", int(voxels.sum()))
        progress.fact("sites", len(sites))

    def _keep(self, found: Mapping[str, Array], x: Array, target: int, voxels: Tensor) -> None:
        """Keep neuroCombat's estimates at some voxels, and their mean line at all others."""
        sigma = np.sqrt(found["var.pooled"][:, 0])
        gamma, delta = found["gamma.star"], np.sqrt(found["delta.star"])
        slope = delta[target] / delta
        shift = sigma * (gamma[target] - slope * gamma)
        mean = found["stand.mean"][:, 0]
        # neuroCombat returns the effects of the covariates on each scan, not the coefficients.
        fitted = np.broadcast_to(found["mod.mean"], (len(mean), len(x))).T
        effects = np.linalg.lstsq(x, fitted, rcond=None)[0].astype(np.float64)
        # The same line everywhere else: where mean and effects are 0, the shift is the offset.
        average = (1 - slope) * (mean + x.mean(axis=0) @ effects) + shift
        self.slope = _volumes(slope, voxels, slope.mean(axis=1))
        self.shift = _volumes(shift, voxels, average.mean(axis=1))
        self.mean = _volumes(mean[None], voxels, np.zeros(1))[0]
        self.effects = _volumes(effects, voxels, np.zeros(x.shape[1]))

    def forward(self, scans: Scans) -> Scans:
        """Harmonise N scans of one site voxel by voxel; the background does not change."""
        model = from_json_tensor(self.model)
        names, n_scans = model["sites"], len(scans)
        known = scans.domain in names
        if known:
            slope, shift = (each[names.index(scans.domain)] for each in (self.slope, self.shift))
        else:
            others = [i for i, name in enumerate(names) if name != model["target"]]
            slope, shift = (each[others].mean(dim=0) for each in (self.slope, self.shift))
        x = torch.from_numpy(design(scans.covariates, model["columns"], n_scans)).to(self.mean)
        expected = self.mean + torch.einsum("np,pshw->nshw", x, self.effects)
        images = (slope * (scans.images - expected) + expected + shift).clamp(0, 1)
        flag = "" if known else f"the fit has no scans of '{scans.domain}': mean of all sites"
        harmonized = scans.with_images(torch.where(scans.masks, images, scans.images))
        return replace(harmonized, flags=(flag,) * n_scans)


class ComBatVoxelAge(ComBatVoxel):
    """ComBat at every voxel that preserves the effect of the subject's age.

    Derive a class like this one to preserve other covariates.
    """

    name = "combat-voxel-age"
    summary = "combat-voxel that preserves the effect of age"
    covariates = ("age",)


def _voxel_values(sites: Mapping[str, ScanSet], progress: FitProgress) -> tuple[Array, Tensor]:
    """Return the values `(V, N)` of the voxels that are brain in all scans, and the voxels."""
    images, voxels = [], None
    for name, scans in sites.items():
        for batch in progress.track(scans.batches(), f"combat-voxel: {name}", len(scans)):
            voxels = batch.masks[0] if voxels is None else voxels & batch.masks[0]
            images.append(batch.images[0])
    assert voxels is not None
    values = np.stack([image[voxels].numpy() for image in images], axis=1).astype(np.float64)
    # A voxel without variance at a site has no scale there.
    ends = np.cumsum([len(scans) for scans in sites.values()])[:-1]
    varies = np.all([part.std(axis=1) > 0 for part in np.split(values, ends, axis=1)], axis=0)
    voxels[voxels.clone()] = torch.from_numpy(varies)
    if not bool(voxels.any()):
        raise UserError("combat-voxel: no voxel is brain in all training scans of all sites")
    return values[varies], voxels


def _covariate_table(sites: Mapping[str, ScanSet]) -> pd.DataFrame | None:
    tables = [scans.covariates for scans in sites.values() if scans.covariates is not None]
    return pd.concat(tables, ignore_index=True) if tables else None


def _check_rank(name: str, site_of: npt.NDArray[np.str_], x: Array) -> None:
    """Raise an error if the effects of sites and covariates are not unique."""
    one_hot = (site_of[:, None] == np.unique(site_of)).astype(float)
    matrix = np.hstack([one_hot, x])
    if np.linalg.matrix_rank(matrix) < matrix.shape[1]:
        raise UserError(
            f"{name}: {len(site_of)} training scans of {one_hot.shape[1]} sites cannot separate "
            "the effects of sites and covariates; give more subjects, or fewer covariates"
        )


def _estimates(
    values: Array,
    site_of: npt.NDArray[np.str_],
    covariates: pd.DataFrame | None,
    config: ComBatConfig,
) -> Mapping[str, Array]:
    """Return what neuroCombat estimates; sites are in the order of their names."""
    table = pd.DataFrame({_SITE: site_of})
    texts, numbers = [], []
    if covariates is not None:
        table = table.join(covariates)
        texts = [str(name) for name, column in covariates.items() if is_text(column)]
        numbers = [str(name) for name in covariates if name not in texts]
    with contextlib.redirect_stdout(io.StringIO()):  # it prints each step
        found: Mapping[str, Array] = neuroCombat(
            dat=values,
            covars=table.astype(dict.fromkeys(texts, str)),
            batch_col=_SITE,
            categorical_cols=texts,
            continuous_cols=numbers,
            eb=config.shrink,
        )["estimates"]
    return found


def _volumes(values: Array, voxels: Tensor, others: Array) -> Tensor:
    """Return volumes `(K, S, H, W)` of values `(K, V)` at voxels, and one value at all others."""
    volumes = torch.from_numpy(others).view(-1, 1, 1, 1).repeat(1, *voxels.shape)
    volumes[:, voxels] = torch.from_numpy(values)
    return volumes.float()
