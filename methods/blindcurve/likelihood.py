"""The likelihood of a scan under the flow, and the curve and the field that maximise it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import torch
from scipy.optimize import minimize
from threadpoolctl import threadpool_limits
from torch import Tensor

from .config import BlindCurveConfig
from .curves import monotone
from .maps import with_maxima_of

# Typical coefficients of a gain, and logarithms of a curve's heights and of its slopes: in these
# units the likelihood is curved about equally along all parameters, so L-BFGS needs few iterations.
_UNITS = (0.1, 0.3, 0.8)


def with_gain(image: Tensor, gain: Tensor, *, slicewise: bool) -> Tensor:
    """Multiply slices `(s, H, W)` of a scan by a smooth gain of the same shape.

    The target's scans were scaled after the scanner's field: slice by slice, so that every slice
    keeps its maximum, or as volumes, so that all slices together keep their mean, up to values
    that are clipped at 1.
    """
    changed = image * gain
    if slicewise:
        return with_maxima_of(image, changed)
    return (changed * (image.mean() / changed.mean().clamp_min(1e-6))).clamp_max(1)


@dataclass(frozen=True, eq=False, kw_only=True)
class Likelihood:
    r"""The likelihood of the corrections of one matched scan, on some of its slices.

    If a correction g turns a scan x into one of the target, x has the density

    .. math:: \log p(x) = \log p_t(g(x)) + \sum \log |\partial g / \partial x|,

    which needs no data of the source. A correction is a gain, by its coefficients `(P,)`, and a
    curve, by the deviations of its heights `(K,)` and slopes `(K + 1,)` from those of the
    identity, in logarithms.

    Attributes
    ----------
    log_prob
        From slices `(s, H, W)` to their log-density under the flow, `(s,)`.
    image, mask
        `(s, H, W)`: slices of the scan, and their foreground.
    basis
        `(P, s, H, W)`: the cosines on these slices.
    degrees
        `(P,)`: orders of the cosines.
    knots
        `(K + 1,)`: of the curve, from 0 to 1.
    slicewise
        Whether slices are min-max scaled one by one.
    config
        Settings of the method.
    """

    log_prob: Callable[[Tensor], Tensor]
    image: Tensor
    mask: Tensor
    basis: Tensor
    degrees: Tensor
    knots: Tensor
    slicewise: bool
    config: BlindCurveConfig

    @torch.no_grad()
    def per_voxel(self) -> float:
        """Return the log-density of the slices as they are, per voxel of the foreground."""
        return float(self.log_prob(self.image).sum() / self.mask.sum())

    @cached_property
    def gain(self) -> Tensor:
        """The most likely gain, which is estimated together with a curve: `(P,)`."""
        K = len(self.knots) - 1
        return self._maximise([len(self.degrees), K, K + 1], self.config.field_iterations)[0]

    @cached_property
    def curve(self) -> Tensor:
        """The most likely curve of the slices as they are: `(2 K + 1,)`."""
        K = len(self.knots) - 1
        return torch.cat(self._maximise([K, K + 1], self.config.curve_iterations))

    def _maximise(self, sizes: list[int], iterations: int) -> list[Tensor]:
        """Return a gain (if there are three sizes) and a curve after some iterations from 0.

        NaN where the likelihood is not finite.
        """
        units = torch.tensor(_UNITS[-len(sizes) :]).repeat_interleave(torch.tensor(sizes))

        def parameters(x: npt.NDArray[np.float64]) -> Sequence[Tensor]:
            return torch.split((torch.from_numpy(x) * units).to(self.image), sizes)

        def objective(x: npt.NDArray[np.float64]) -> tuple[float, npt.NDArray[np.float64]]:
            values = [value.requires_grad_() for value in parameters(x)]
            with torch.enable_grad():
                loss = -self.log_posterior(*values) / self.mask.sum()
            gradient = torch.cat(torch.autograd.grad(loss, values)).cpu() * units
            return loss.item(), gradient.double().numpy()

        # More threads of BLAS would spin for tens of milliseconds after each solve of L-BFGS.
        with threadpool_limits(1, "blas"):
            found = minimize(
                objective,
                np.zeros(sum(sizes)),
                jac=True,
                method="L-BFGS-B",
                options={"maxiter": iterations},
            )
        return list(parameters(found.x if np.isfinite(found.fun) else np.nan * found.x))

    def log_posterior(self, *parameters: Tensor) -> Tensor:
        """Return the logarithm of likelihood times prior of a gain (optional) and a curve."""
        config, (*gains, heights, slopes) = self.config, parameters
        y, log_slopes = monotone(self.image[self.mask], self.knots, heights, slopes)
        log_det = log_slopes.sum()
        corrected = self.image.masked_scatter(self.mask, y)
        prior = (heights.square().sum() + slopes.square().sum()) / config.curve_deviation**2
        for c in gains:
            before, factors = corrected, torch.einsum("p,pshw->shw", c, self.basis).exp()
            corrected = with_gain(before, factors, slicewise=self.slicewise)
            ratio = corrected[self.mask].clamp_min(1e-4) / before[self.mask].clamp_min(1e-4)
            log_det = log_det + ratio.log().sum()
            prior = prior + (c * self.degrees).square().sum() / config.field_deviation**2
        result = self.log_prob(corrected).sum() - 0.5 * prior
        return result + log_det if config.jacobian else result
