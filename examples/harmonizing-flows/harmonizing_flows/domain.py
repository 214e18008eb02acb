"""The same harmoniser, adapted to all scans of a source domain, as in the paper."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor

from harmbench import (
    FitData,
    FitProgress,
    Grid,
    Method,
    Needs,
    Phase,
    Scans,
    SliceBatches,
    torch_generator,
    train,
)

from .config import PRESETS, HarmonizingFlowsConfig, check_positive, shared_settings
from .likelihood import bits
from .method import HarmonizingFlows, harmonized
from .network import Harmonizer


@dataclass(frozen=True)
class DomainConfig(HarmonizingFlowsConfig):
    """Settings of the blind method, and of the adaptation to a domain.

    Raises
    ------
    UserError
        If a value is outside its range.
    """

    domain_steps: int = 600  # [code] about 20 passes through a few subjects' slices
    domain_batch_size: int = 16  # [code]
    domain_learning_rate: float = 4e-6  # [code]

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("domain_steps", "domain_batch_size", "domain_learning_rate"):
            check_positive(name, getattr(self, name))

    @property
    def of_target(self) -> HarmonizingFlowsConfig:
        """Settings of the blind method, whose harmoniser is adapted."""
        return HarmonizingFlowsConfig(**shared_settings(self, HarmonizingFlowsConfig))


_STEPS = {"paper": 600, "quick": 100, "tiny": 4}  # [code] 20 epochs of a few subjects

DOMAIN_PRESETS = {
    name: DomainConfig(
        **shared_settings(preset, HarmonizingFlowsConfig),
        domain_steps=_STEPS[name],
        domain_batch_size=preset.adapt_slices,
    )
    for name, preset in PRESETS.items()
}


class AdaptedHarmonizer(Harmonizer):
    """A harmoniser whose batch-norm statistics do not change during further training.

    They are those of the target, and the source has another contrast.
    """

    def train(self, mode: bool = True) -> Self:
        """Stay in eval mode."""
        return super().train(False)


class HarmonizingFlowsDomain(Method):
    """Adapt the harmoniser to the source's training scans by the target's flow.

    It starts from a fit of `HarmonizingFlows`. That method adapts to each scan separately; this
    one adapts once, to all training scans of the source together. So it needs source scans, and
    is not a blind method.
    """

    name = "harmonizing-flows-domain"
    summary = "harmonizing-flows, adapted to all scans of the source together, as in the paper"
    needs = Needs.UNPAIRED
    reference = "arXiv:2301.11551"
    Config = DomainConfig
    presets = DOMAIN_PRESETS

    config: DomainConfig

    def __init__(self, grid: Grid, config: Any = None) -> None:
        super().__init__(grid, config)
        self.of_target = HarmonizingFlows(grid, self.config.of_target)
        self.of_target.requires_grad_(False).eval()
        self.network = AdaptedHarmonizer(self.config.depth, self.config.width)

    @classmethod
    def parts(cls, config: Any) -> Mapping[str, tuple[type[Method], Any]]:
        """Return the method whose fit contains the harmoniser and the flow."""
        return {"of_target": (HarmonizingFlows, config.of_target)}

    def fit(self, data: FitData, progress: FitProgress) -> None:
        """Train the harmoniser further, to maximise the likelihood of harmonised source slices.

        Raises
        ------
        DivergedError
            If the training diverges.
        """
        config = self.config
        self.network.load_state_dict(self.of_target.network.state_dict())
        flow = self.of_target.blindharmony.flow
        generator = torch.Generator(self.device).manual_seed(data.seed)

        def cost(x: Tensor) -> Tensor:
            noise = torch.rand(x.shape, generator=generator, device=x.device)
            return bits(flow, self.network(x).clamp(0, 1), noise).mean()

        train(
            self.network,
            SliceBatches(
                data.source,
                size=config.domain_batch_size,
                device=self.device,
                generator=torch_generator(data.seed, self.name, "batches"),
            ),
            Phase(
                loss=cost,
                optimizer=torch.optim.Adam(self.network.parameters(), config.domain_learning_rate),
            ),
            progress,
            name=self.name,
            steps=config.domain_steps,
            keep=[generator],
            measure="bits/dim",
        )

    @torch.no_grad()
    def forward(self, scans: Scans) -> Scans:
        """Harmonise N scans slice by slice; the background does not change."""
        pairs = zip(scans.images, scans.masks, strict=True)
        results = [harmonized(self.network, *pair, self.config.slices_at_once) for pair in pairs]
        return scans.with_images(torch.stack(results) if results else scans.images.clone())
