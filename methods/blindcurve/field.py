"""The bias field of one scan by N4, in the cosines that all fields of the method consist of."""

from __future__ import annotations

import torch
from torch import Tensor

from harmbench import BadScanError

from .._n4 import bias_field_of
from .._quantiles import quantiles
from .population import Population

_STRIDE = 7  # of the voxels that the cosines are fitted to
_PRIOR = 1e-4  # precision of the cosines, which keeps the fit unique
_MIDDLE = torch.linspace(0.15, 0.98, 25)  # levels of quantiles whose logarithms are compared


def exponent_of(values: Tensor, knots: Tensor) -> float:
    """Return the power that a scan's curve is most like.

    The slope of the logarithms of the foreground's quantiles over those of the population's:
    a factor on the scan is this power of a factor on the matched scan.
    """
    own, population = (quantiles(v, _MIDDLE).clamp_min(1e-3).log() for v in (values, knots))
    u, v = population - population.mean(), own - own.mean()
    return float(((u * v).sum() / u.square().sum().clamp_min(1e-9)).clamp(0.1, 10))


@torch.no_grad()
def n4_field(population: Population, image: Tensor, mask: Tensor) -> Tensor:
    """Estimate a scan's field by N4 (Tustison et al., IEEE Trans Med Imaging 2010;29:1310-1320).

    The logarithm of N4's field is fitted by cosines of low order, up to a constant: of each slice
    where slices are scaled one by one. 0 where N4 fails, as with hardly any foreground.

    Parameters
    ----------
    population
        What scans are matched to.
    image, mask
        `(S, H, W)`: the scan, and its foreground.

    Returns
    -------
    Tensor
        `(P,)` coefficients of the field's logarithm as it is on the matched scan.
    """
    cosines = population.cosines
    try:
        field = bias_field_of(image, mask, population.grid, population.config.n4_resolution)
    except BadScanError:
        return torch.zeros_like(cosines.degrees).to(image)
    voxels = mask.cpu().nonzero()[::_STRIDE]
    log_field = field[tuple(voxels.T)].clamp_min(1e-3).log()
    terms = cosines.at((voxels + 0.5) / torch.tensor(image.shape))
    slices = voxels[:, 0] if population.slicewise else torch.zeros_like(voxels[:, 0])
    A, b = (_centred(x.double(), slices) for x in (terms, log_field[:, None]))
    precision = A.T @ A / len(A) + _PRIOR * cosines.degrees.double().square().diag()
    solved: Tensor = torch.linalg.solve(precision, A.T @ b / len(A)).squeeze(1)
    return solved.to(image) / exponent_of(image[mask], population.knots)


def _centred(values: Tensor, groups: Tensor) -> Tensor:
    """Subtract from values `(n, k)` the mean of their group, by index `(n,)`."""
    count = torch.bincount(groups).clamp_min(1)
    sums = values.new_zeros(len(count), values.shape[1]).index_add_(0, groups, values)
    return values - (sums / count[:, None])[groups]
