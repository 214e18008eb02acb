"""Refinement of a map's curve by the likelihood of a flow of the target."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from harmbench import FitProgress, Scans, ScanSet

from .._cosine_field import Cosines
from ..blindharmony_ml.method import BlindHarmonyLikelihood
from .config import BlindCurveConfig
from .disturb import disturbance_family, disturbed, draw_disturbances
from .maps import Curve, Map, ascending

# Disturbances of each validation scan that a refinement must help on.
_VALIDATION_DISTURBANCES = 2


@dataclass(frozen=True, eq=False)
class Refinement:
    """The flow that refines curves.

    Attributes
    ----------
    likelihood
        The method that has the flow.
    cosines
        The terms of the maps' fields.
    """

    likelihood: BlindHarmonyLikelihood
    cosines: Cosines

    def most_likely(
        self, scan_map: Map, image: Tensor, mask: Tensor, scans: Scans, n: int
    ) -> Tensor:
        """Return the curve under which the flow finds the n-th scan, mapped, most likely."""
        mapped = scan_map(image, mask, self.cosines)
        signal = mask & (image > 0) & (mapped > 0)
        return self.likelihood.most_likely_curve(mapped, signal, scans, n)

    def applied(self, scan_map: Map, curve: Tensor, gain: float) -> Map:
        """Return a map whose curve is followed by a part `gain`, in [0, 1], of another one."""
        y = self.likelihood.curved(scan_map.curve.y.clamp(0, 1), curve, gain)
        if not bool(y.isfinite().all()):
            return scan_map
        return replace(scan_map, curve=Curve(scan_map.curve.x, ascending(y)))

    def best_gain(
        self,
        estimate: Callable[[Tensor, Tensor], Map],
        held_out: ScanSet,
        config: BlindCurveConfig,
        slicewise: bool,
        seed: int,
        name: str,
        progress: FitProgress,
    ) -> float:
        """Choose the gain with the least error on disturbed scans of other subjects.

        `estimate` returns the unrefined map of an image and its mask, each `(S, H, W)`;
        `held_out` are target scans of subjects that were not learned from.
        """
        gains: list[float] = torch.linspace(0, 1, 11).tolist()
        errors = torch.zeros(len(gains), dtype=torch.float64)
        count = _VALIDATION_DISTURBANCES * len(held_out)
        family, names = disturbance_family(config, fields=True), (name, "refinement")
        draws = draw_disturbances(
            len(held_out), count, family, self.cosines, seed=seed, names=names
        )
        for n, disturbance, _ in progress.track(draws, "blindcurve: refinement", count):
            scans = held_out.load([n]).to(self.likelihood.device)
            truth, mask = scans.images[0], scans.masks[0]
            seen = disturbed(truth, mask, disturbance, self.cosines, slicewise)
            unrefined = estimate(seen, mask)
            if unrefined.flag:
                continue
            curve = self.most_likely(unrefined, seen, mask, scans, 0)
            for i, gain in enumerate(gains):
                mapped = self.applied(unrefined, curve, gain)(seen, mask, self.cosines)
                # The logarithm, as PSNR has it: else the worst scan alone would count.
                error = (mapped - truth)[mask].square().mean()
                errors[i] += float(error.clamp_min(1e-12).log())
        return gains[int(errors.argmin())]
