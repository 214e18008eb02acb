"""BlindHarmony by maximum likelihood: a curve and a bias field under the same flow."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from harmbench import FitData, FitProgress, Grid, Method, Needs, Scans, ScanSet, torch_generator

from .._cosine_field import Cosines
from .._quantiles import evenly_spaced_quantiles
from .._slices import scaled_by_slice
from ..blindharmony.method import BlindHarmony
from ..histogram import Histogram, HistogramConfig, match
from .config import ABLATIONS, PRESETS, LikelihoodConfig
from .correction import monotone, with_field
from .shrinkage import NaturalVariation

# Adam's decay rates: the likelihood has no noise, and there are only a dozen steps.
_BETAS = (0.8, 0.95)
_MIN_WIDTH = 1e-3  # of the width of the curve's bins


class BlindHarmonyLikelihood(Method):
    r"""Estimate the curve and the bias field that make a scan most likely under the flow.

    If a scan of the target is :math:`g(x_s)`, the source scan has the density

    .. math:: \log p_s(x_s) = \log p_t(g(x_s)) + \sum \log |\partial g / \partial x_s|,

    which needs no data of the source. With h the match of the scan's quantiles to the
    target population's, r a monotone curve and b a smooth field,
    :math:`g(x_s) = r(h(b \cdot h(x_s)))`. The likelihood is maximised twice: over b and r
    together, which determines b; and then over r with b fixed.

    The flow is overconfident: its maximum likelihood field also removes the natural field of
    a subject's own target scan. So the same estimate is made for the target's training
    scans, whose true correction is none. The scatter of their fields determines the part of a
    scan's field that is due to its scanner (`NaturalVariation.excess`); the mean of their
    curves is the flow's own error; and the share of r that reduces the error is applied.

    Attributes
    ----------
    field_mean, field_covariance
        `(P,)` and `(P, P)`: the field's coefficients on scans of the target.
    curve_mean
        `(2 K + 1,)`: the mean deviation of these scans' curves from the identity.
    gain
        Part of r that is applied, in [0, 1].
    """

    name = "blindharmony-ml"
    summary = "the curve and bias field that make a scan most likely under blindharmony's flow"
    needs = Needs.TARGET
    reference = "arXiv:2305.10732"
    Config = LikelihoodConfig
    presets = PRESETS
    ablations = ABLATIONS

    config: LikelihoodConfig
    field_mean: Tensor
    field_covariance: Tensor
    curve_mean: Tensor
    gain: Tensor
    seed: Tensor
    slicewise: Tensor

    def __init__(self, grid: Grid, config: Any = None) -> None:
        super().__init__(grid, config)
        parts = self.parts(self.config)
        self.blindharmony = BlindHarmony(grid, parts["blindharmony"][1])
        self.blindharmony.requires_grad_(False).eval()
        self.histogram = Histogram(grid, parts["histogram"][1])
        self.cosines = Cosines(self.config.field_degree)
        P = len(self.cosines.terms)
        self.register_buffer("field_mean", torch.zeros(P))
        self.register_buffer("field_covariance", torch.eye(P))
        self.register_buffer("curve_mean", torch.zeros(2 * self.config.curve_bins + 1))
        self.register_buffer("gain", torch.ones(()))
        self.register_buffer("seed", torch.zeros((), dtype=torch.int64))
        self.register_buffer("slicewise", torch.ones((), dtype=torch.bool))

    @classmethod
    def parts(cls, config: Any) -> Mapping[str, tuple[type[Method], Any]]:
        """Name the flow's method and the quantile match."""
        return {
            "blindharmony": (BlindHarmony, config.flow),
            "histogram": (Histogram, HistogramConfig(config.quantiles)),
        }

    def fit(self, data: FitData, progress: FitProgress) -> None:
        """Learn from the target's own scans how far the estimates are to be applied."""
        self.seed.fill_(data.seed)
        self.slicewise.fill_(scaled_by_slice(data.target))
        fields, curves = [], []
        own = (data.target, data.validation)
        total = sum(map(len, own))
        for scan in progress.track(
            _each(own), "blindharmony-ml: likelihood of the target's scans", total
        ):
            start, mask = self._start(scan.to(self.device), 0)
            if bool(mask.any()):
                likelihood = self._likelihood(start, mask, scan, 0)
                fields.append(likelihood.field())
                curves.append(torch.cat(likelihood.curve(start)))
        if not fields:
            return
        variation = NaturalVariation.of(torch.stack(fields).cpu(), self.cosines.degrees)
        self.field_mean.copy_(variation.mean)
        self.field_covariance.copy_(variation.covariance)
        self.curve_mean.copy_(torch.stack(curves).mean(dim=0))
        # The mean over scans of the logarithm of the squared error, as in PSNR: the plain mean
        # would be dominated by the worst scan.
        gains = torch.linspace(0, 1, 21).tolist()
        errors = torch.zeros(len(gains), dtype=torch.float64)
        estimates = iter(curves)
        for scan in _each(own):
            image = scan.images[0].to(self.device)
            start, mask = self._start(scan.to(self.device), 0)
            if bool(mask.any()):
                curve = next(estimates)
                for i, gain in enumerate(gains):
                    residual = self.curved(start[mask], curve, gain) - image[mask]
                    errors[i] += float(residual.square().mean().clamp_min(1e-12).log())
        self.gain.fill_(gains[int(errors.argmin())])
        progress.fact("gain", float(self.gain))

    def forward(self, scans: Scans) -> Scans:
        """Harmonise N scans independently; see `Method.forward`."""
        results = [self._harmonize(scans, n) for n in range(len(scans))]
        return scans.with_images(torch.stack(results) if results else scans.images.clone())

    @torch.no_grad()
    def _harmonize(self, scans: Scans, n: int) -> Tensor:
        """Harmonise scan n: `(S, H, W)`."""
        config = self.config
        start, mask = self._start(scans, n)
        if not bool(mask.any()):
            return start
        likelihood = self._likelihood(start, mask, scans, n)
        result = start
        if config.field:
            c = likelihood.field()
            if config.shrink:
                c = self._excess(c)
            if bool(c.any()) and bool(c.isfinite().all()):
                everywhere = self.cosines.basis(
                    torch.arange(len(start), device=c.device), self.grid.shape
                )
                field = torch.einsum("p,pshw->shw", c, everywhere).exp()
                result = match(
                    with_field(start, field, slicewise=bool(self.slicewise)),
                    mask,
                    self.histogram.knots,
                )
        if config.curve and float(self.gain) > 0:
            curve = torch.cat(likelihood.curve(result))
            curved = self.curved(result[mask], curve, float(self.gain))
            if bool(curved.isfinite().all()):
                result = result.masked_scatter(mask, curved)
        return result

    def _start(self, scans: Scans, n: int) -> tuple[Tensor, Tensor]:
        """Return scan n matched to the population's quantiles, and where it has signal."""
        matched = match(scans.images[n], scans.masks[n], self.histogram.knots)
        return matched, scans.masks[n] & (scans.images[n] > 0) & (matched > 0)

    def _excess(self, c: Tensor) -> Tensor:
        variation = NaturalVariation(self.field_mean.cpu(), self.field_covariance.cpu())
        return variation.excess(c.cpu(), self.cosines.degrees, self.config.evidence).to(c)

    def _likelihood(self, start: Tensor, mask: Tensor, scans: Scans, n: int) -> _Likelihood:
        """Return the likelihood of corrections of scan n, which is matched already."""
        # Evenly spaced among the slices with signal.
        shown = (start.flatten(1).amax(dim=1) > 0).nonzero().squeeze(1)
        count = min(self.config.likelihood_slices, len(shown))
        positions = ((torch.arange(count, device=shown.device) + 0.5) * len(shown) / count).long()
        index = shown[positions]
        generator = torch_generator(
            int(self.seed), self.name, "noise", scans.subjects[n], scans.sessions[n]
        )
        noise = torch.rand(self.grid.shape, generator=generator).to(start)[index]
        flow = self.blindharmony.flow
        return _Likelihood(
            log_prob=lambda y: flow.log_prob(flow.dequantize(y, noise)),
            start=start[index],
            mask=mask[index],
            index=index,
            basis=self.cosines.basis(index, self.grid.shape),
            degrees=self.cosines.degrees.to(start),
            knots=self._curve_knots(),
            slicewise=bool(self.slicewise),
            config=self.config,
        )

    def _curve_knots(self) -> Tensor:
        """Return knots between which the target population has equally many voxels."""
        knots = evenly_spaced_quantiles(self.histogram.knots, self.config.curve_bins + 1)
        width = knots.diff().clamp_min(_MIN_WIDTH)
        return torch.cat((width.new_zeros(1), (width / width.sum()).cumsum(dim=0)))

    def curved(self, values: Tensor, curve: Tensor, gain: float) -> Tensor:
        """Apply a part of a curve, given by deviations from the identity, to values in [0, 1]."""
        knots = self._curve_knots()
        deviations = gain * (curve - self.curve_mean)
        heights, slopes = deviations[: len(knots) - 1], deviations[len(knots) - 1 :]
        y, _ = monotone(values, knots, knots.diff().log() + heights, slopes)
        return y.clamp(0, 1)  # rounding may end above


def _each(sets: Iterable[ScanSet]) -> Iterator[Scans]:
    """Yield all scans, one at a time."""
    for scans in sets:
        yield from scans.batches()


@dataclass(frozen=True, eq=False, kw_only=True)
class _Likelihood:
    """The likelihood of the corrections of one scan, on some of its slices.

    A correction is the field's coefficients `(P,)`, and the deviations of a curve's heights
    `(K,)` and slopes `(K + 1,)` from those of the identity, in logarithms.
    """

    log_prob: Callable[[Tensor], Tensor]
    start: Tensor
    mask: Tensor
    index: Tensor
    basis: Tensor
    degrees: Tensor
    knots: Tensor
    slicewise: bool
    config: LikelihoodConfig

    def field(self) -> Tensor:
        """Return the most likely field, found together with a curve: `(P,)`."""
        c = self.start.new_zeros(len(self.degrees))
        c, *_ = self._climb([c, *self._identity()], self.start, self.config.field_iterations)
        return c

    def curve(self, image: Tensor) -> list[Tensor]:
        """Return the most likely curve of a scan `(S, H, W)` with a known field."""
        return self._climb(self._identity(), image[self.index], self.config.curve_iterations)

    def _identity(self) -> list[Tensor]:
        K = len(self.knots) - 1
        return [self.start.new_zeros(K), self.start.new_zeros(K + 1)]

    def _climb(self, parameters: list[Tensor], image: Tensor, iterations: int) -> list[Tensor]:
        """Return the parameters after some steps of Adam, field (if any) and curve."""
        config = self.config
        rates = [0.4 * config.step] * (len(parameters) - 2) + [config.step] * 2
        with torch.enable_grad():
            for parameter in parameters:
                parameter.requires_grad_()
            optimizer = torch.optim.Adam(
                [{"params": [p], "lr": r} for p, r in zip(parameters, rates, strict=True)],
                betas=_BETAS,
            )
            schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.1, iterations)
            for _ in range(iterations):
                loss = -self._log_posterior(image, *parameters) / self.mask.sum()
                gradients = torch.autograd.grad(loss, parameters)
                for parameter, gradient in zip(parameters, gradients, strict=True):
                    parameter.grad = gradient
                optimizer.step()
                schedule.step()
        return [parameter.detach() for parameter in parameters]

    def _log_posterior(self, image: Tensor, *parameters: Tensor) -> Tensor:
        config, (*field, heights, slopes) = self.config, parameters
        within = image[self.mask]
        y, log_slope = monotone(within, self.knots, self.knots.diff().log() + heights, slopes)
        log_det = log_slope.sum()
        corrected = image.masked_scatter(self.mask, y)
        prior = (heights.square().sum() + slopes.square().sum()) / config.curve_deviation**2
        for c in field:
            before = corrected
            natural = torch.einsum("p,pshw->shw", c, self.basis).exp()
            corrected = with_field(before, natural, slicewise=self.slicewise)
            ratio = corrected[self.mask].clamp_min(1e-4) / before[self.mask].clamp_min(1e-4)
            log_det = log_det + ratio.log().sum()
            prior = prior + (c * self.degrees).square().sum() / config.field_deviation**2
        result = self.log_prob(corrected).sum() - 0.5 * prior
        return result + log_det if config.jacobian else result
