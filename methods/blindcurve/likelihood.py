"""The likelihood of a scan under the flow, and the curve and the field that maximise it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from .._cosine_field import with_maxima_of
from .._curves import locate
from .config import BlindCurveConfig

# Adam's decay rates: the likelihood has no noise, and there are only a dozen steps.
_BETAS = (0.8, 0.95)


def monotone(x: Tensor, knots: Tensor, heights: Tensor, slopes: Tensor) -> tuple[Tensor, Tensor]:
    """Apply a monotone rational-quadratic curve of [0, 1] onto itself; see `_curves`.

    Parameters
    ----------
    x
        `(n,)` in [0, 1].
    knots
        `(K + 1,)` ascending from 0 to 1.
    heights
        `(K,)`: logarithms of the secants from knot to knot, up to a common constant.
    slopes
        `(K + 1,)`: logarithms of the slopes at the knots.

    Returns
    -------
    tuple
        The curve and the logarithm of its derivative, both `(n,)`.
    """
    rise = torch.softmax(knots.diff().log() + heights, dim=0)
    y = torch.cat((rise.new_zeros(1), rise.cumsum(dim=0)))
    positions = locate(x, knots, y, slopes.exp())
    return positions.heights(), positions.log_slopes()


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

    def gain(self) -> Tensor:
        """Return the most likely gain, which is estimated together with a curve: `(P,)`."""
        zeros = self.image.new_zeros(len(self.degrees))
        return self._maximise([zeros, *self._identity()], self.config.field_iterations)[0]

    def curve(self) -> Tensor:
        """Return the most likely curve of the slices as they are: `(2 K + 1,)`."""
        return torch.cat(self._maximise(self._identity(), self.config.curve_iterations))

    def _identity(self) -> list[Tensor]:
        K = len(self.knots) - 1
        return [self.image.new_zeros(K), self.image.new_zeros(K + 1)]

    def _maximise(self, parameters: list[Tensor], iterations: int) -> list[Tensor]:
        """Return the parameters, a gain's (if any) and a curve's, after some steps of Adam."""
        config = self.config
        rates = [0.4 * config.step] * (len(parameters) - 2) + [config.step] * 2
        with torch.enable_grad():
            groups = [
                {"params": [parameter.requires_grad_()], "lr": rate}
                for parameter, rate in zip(parameters, rates, strict=True)
            ]
            optimizer = torch.optim.Adam(groups, betas=_BETAS)
            schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.1, iterations)
            for _ in range(iterations):
                loss = -self.log_posterior(*parameters) / self.mask.sum()
                gradients = torch.autograd.grad(loss, parameters)
                for parameter, gradient in zip(parameters, gradients, strict=True):
                    parameter.grad = gradient
                optimizer.step()
                schedule.step()
        return [parameter.detach() for parameter in parameters]

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
