"""BlindHarmony: the loop of gradient steps and latent shrinkage, and the state of a fit."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from harmbench import FitData, FitProgress, Grid, Method, Needs, Scans, seeded, torch_generator

from .config import PRESETS, BlindHarmonyConfig
from .flow.flow import Flow
from .flow.inference import FrozenFlow
from .flow.threads import shares, side_by_side
from .flow.training import mean_slices, train_flow
from .published import ABLATIONS, TABLE_3
from .terms import correlation_gradient, edge_gradient, non_edge_mask


class BlindHarmony(Method):
    """Harmonise slices with a normalising flow of the target domain as the prior.

    Jeong et al., "BlindHarmony: 'Blind' Harmonization for MR Images via Flow model", ICCV
    2023. Starting from the target's mean slice, each iteration takes gradient steps along
    Eq. 1 (correlation with the source) and Eq. 2 (edges), then shrinks the latent.
    """

    name = "blindharmony"
    summary = "a flow of the target domain, and ten steps towards the source (ICCV 2023)"
    needs = Needs.TARGET
    reference = "arXiv:2305.10732"
    Config = BlindHarmonyConfig
    presets = PRESETS
    expected_failures: ClassVar[Mapping[str, str]] = {
        "background": "the paper's loop has no mask, and what it makes of the background stays"
    }
    ablations = ABLATIONS
    published = TABLE_3

    config: BlindHarmonyConfig
    mean: Tensor
    seed: Tensor

    def __init__(self, grid: Grid, config: Any = None) -> None:
        super().__init__(grid, config)
        self.flow = self._new_flow(seed=0)
        self.register_buffer("mean", torch.zeros(grid.shape))
        self.register_buffer("seed", torch.zeros((), dtype=torch.int64))

    def _new_flow(self, seed: int) -> Flow:
        _, H, W = self.grid.shape
        with seeded(seed, "blindharmony", "weights"):
            return Flow(H, W, self.config)

    def fit(self, data: FitData, progress: FitProgress) -> None:
        """Learn the target's mean slices and its flow.

        Raises
        ------
        DivergedError
            If the training diverges.
        """
        generator = torch_generator(data.seed, "blindharmony", "mean")
        self.mean.copy_(mean_slices(data.target, self.config.mean_slices, generator))
        self.seed.fill_(data.seed)
        self.flow.load_state_dict(self._new_flow(data.seed).state_dict())
        train_flow(self.flow, data, self.config, progress, self.device)

    @torch.no_grad()
    def forward(self, scans: Scans) -> Scans:
        """Harmonise N scans `(N, S, H, W)`; see `Method.forward`.

        Scan by scan and a fixed number of slices at a time, so that neither memory nor,
        to the last bit, the answer depend on which scans come together.
        """
        flow = self._frozen()
        results = [self._harmonize_scan(scans, n, flow) for n in range(len(scans))]
        return scans.with_images(torch.stack(results) if results else scans.images.clone())

    def _frozen(self) -> Callable[[torch.dtype], FrozenFlow]:
        """Return a function that returns a copy of the present flow in a given precision."""
        frozen = functools.cache(lambda dtype: FrozenFlow(self.flow, dtype))
        frozen(torch.float32)  # before several threads call it
        return frozen

    def _harmonize_scan(
        self, scans: Scans, n: int, flow: Callable[[torch.dtype], FrozenFlow]
    ) -> Tensor:
        """Harmonise scan n: `(S, H, W)`."""
        # Drawn for a whole scan at once, on the CPU, whatever the batch and the device.
        generator = torch_generator(
            int(self.seed), "blindharmony", "noise", scans.subjects[n], scans.sessions[n]
        )
        noise = torch.rand(self.grid.shape, generator=generator).to(self.mean)
        parts = (scans.images[n], scans.masks[n], noise, self.mean)
        results = side_by_side(
            lambda slices: self._harmonize(*(part[slices] for part in parts), flow=flow),
            shares(len(noise), noise.device, self.config.slices_at_once),
            noise.device,
        )
        return torch.cat(results)

    def _harmonize(
        self,
        x_s: Tensor,
        foreground: Tensor,
        noise: Tensor,
        mean: Tensor,
        *,
        flow: Callable[[torch.dtype], FrozenFlow],
    ) -> Tensor:
        """Run the loop on slices `(B, H, W)`."""
        config = self.config
        M = non_edge_mask(
            x_s,
            foreground,
            quantile=config.mask_quantile,
            threshold=config.mask_threshold,
        )
        x = mean
        for step in range(config.iterations):
            g1 = correlation_gradient(x, x_s, centred=config.centred)
            g2 = edge_gradient(x, M)
            y = x - config.beta1 * g1 - config.beta2 * g2
            if config.alpha > 0:
                # The rounding error of the last step stays in the result, so it is checked. Each
                # later data step reduces an earlier error by a factor of about 0.86 (measured
                # with the quick preset); checking every step would add half of the time.
                v = self.flow.dequantize(y, noise)
                v = self._shrink(v, flow, check=step + 1 == config.iterations)
                x = self._guarded(self.flow.quantize(v, noise), y)
            else:
                x = y
            x = x.clamp(0, 1)
        # A slice without any signal has nothing to be harmonised by.
        empty = x_s.amax(dim=(-2, -1), keepdim=True) <= 0
        return torch.where(empty, x_s, x)

    def _shrink(
        self, v: Tensor, flow: Callable[[torch.dtype], FrozenFlow], *, check: bool
    ) -> Tensor:
        """Return f^-1((1 - alpha) f(v)) of dequantised slices `(B, H, W)`.

        With `check`, those slices that f^-1(f(v)) does not bring back within
        `config.round_trip` are done again in float64.
        """
        keep = 1 - self.config.alpha
        f = flow(v.dtype)
        z = f.encode(v)
        shrunk = f.decode([keep * part for part in z])
        if check:
            error = (f.decode(z) - v).abs().amax(dim=(-2, -1))
            failed = ~(error <= self.config.round_trip)  # not-a-number fails, too
            if failed.any():
                f = flow(torch.float64)
                z = f.encode(v[failed].double())
                shrunk[failed] = f.decode([keep * part for part in z]).to(v.dtype)
        return shrunk

    @staticmethod
    def _guarded(x: Tensor, y: Tensor) -> Tensor:
        """Return x, but the pre-flow y for slices of x that are not finite or are empty."""
        highest, lowest = x.amax(dim=(-2, -1), keepdim=True), x.amin(dim=(-2, -1), keepdim=True)
        sound = highest.isfinite() & lowest.isfinite() & (highest > 0)
        return torch.where(sound, x, y)
