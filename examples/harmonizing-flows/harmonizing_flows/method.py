"""The blind method: everything is learned from the target, and adapted scan by scan."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.optim.lr_scheduler import CosineAnnealingLR

from harmbench import (
    FitData,
    FitProgress,
    Grid,
    Method,
    Needs,
    Phase,
    Scans,
    SliceBatches,
    UserError,
    seeded,
    torch_generator,
    train,
)
from harmbench_methods.blindharmony.method import BlindHarmony

from . import augment
from .config import PRESETS, HarmonizingFlowsConfig
from .likelihood import bits, each, natural_bits
from .network import Harmonizer

_VALIDATED = 200  # slices of the validation scans, at most
_VALIDATE_EVERY = 100  # steps


def harmonized(network: Harmonizer, image: Tensor, mask: Tensor, slices_at_once: int) -> Tensor:
    """Return what a harmoniser makes of a scan `(S, H, W)`; the background stays."""
    made = torch.cat([network(part) for part in torch.split(image, slices_at_once)])
    return torch.where(mask, made.clamp(0, 1), image)


class HarmonizingFlows(Method):
    """Undo random changes of intensity, then adapt that to a scan by the target's flow.

    Beizaee et al., "Harmonizing Flows: Unsupervised MR harmonization based on normalizing
    flows", IPMI 2023. A U-Net, the harmoniser, learns to bring slices of the target back that
    were changed at random. When a scan is harmonised, a copy of the network is trained on it
    alone until the flow finds its slices as likely as the target's own. The flow is that of
    `blindharmony`, fitted once for both.

    Attributes
    ----------
    target_bits
        `(S,)`: mean bits per dimension of the target's scans, by slice.
    deviation
        By how much a scan of the target is from that, in bits per dimension.
    """

    name = "harmonizing-flows"
    summary = "a U-Net that undoes random contrasts, adapted to each scan by the target's flow"
    needs = Needs.TARGET
    reference = "arXiv:2301.11551"
    Config = HarmonizingFlowsConfig
    presets = PRESETS
    ablations: ClassVar = {"no adaptation": {"adapt_steps": 0}}

    config: HarmonizingFlowsConfig
    target_bits: Tensor
    deviation: Tensor
    seed: Tensor

    def __init__(self, grid: Grid, config: Any = None) -> None:
        super().__init__(grid, config)
        S, H, W = grid.shape
        if min(H, W) < 2**self.config.depth:
            raise UserError(f"slices of {H} x {W} cannot be halved {self.config.depth} times")
        self.blindharmony = BlindHarmony(grid, self.config.flow)
        self.blindharmony.requires_grad_(False).eval()
        self.network = self._new_network(seed=0)
        self.register_buffer("target_bits", torch.zeros(S))
        self.register_buffer("deviation", torch.zeros(()))
        self.register_buffer("seed", torch.zeros((), dtype=torch.int64))

    @classmethod
    def parts(cls, config: Any) -> Mapping[str, tuple[type[Method], Any]]:
        """Name the method whose fit holds the flow."""
        return {"blindharmony": (BlindHarmony, config.flow)}

    def _new_network(self, seed: int) -> Harmonizer:
        with seeded(seed, self.name, "weights"):
            return Harmonizer(self.config.depth, self.config.width)

    # Fitting

    def fit(self, data: FitData, progress: FitProgress) -> None:
        """Teach the harmoniser, and measure how likely the target's own slices are.

        Raises
        ------
        DivergedError
            If the training runs away.
        """
        config = self.config
        self.seed.fill_(data.seed)
        own = itertools.islice(each(data.validation, data.target), config.bits_scans)
        flow, generator = self.blindharmony.flow, self._generator("bits", data.seed)
        natural, deviation = natural_bits(flow, own, generator)
        self.target_bits.copy_(natural)
        self.deviation.fill_(deviation)
        progress.fact("target_bits", float(natural.mean()))
        progress.fact("target_bits_deviation", deviation)

        self.network.load_state_dict(self._new_network(data.seed).state_dict())
        optimizer = torch.optim.Adam(
            self.network.parameters(), lr=config.harmonizer_learning_rate, betas=(0.9, 0.99)
        )
        drawn = self._generator("augmentations", data.seed)

        def squared_error(x: Tensor) -> Tensor:
            change = augment.to(augment.draw(len(x), drawn), x.device)
            # Before clamping: where the range is left, the gradient must lead back.
            error: Tensor = (self.network(change(x)) - x).square().mean()
            return error

        train(
            self.network,
            SliceBatches(
                data.target,
                size=config.harmonizer_batch_size,
                device=self.device,
                generator=self._generator("batches", data.seed),
            ),
            Phase(
                loss=squared_error,
                optimizer=optimizer,
                schedule=CosineAnnealingLR(optimizer, config.harmonizer_steps),
            ),
            progress,
            name=self.name,
            steps=config.harmonizer_steps,
            keep=[drawn],
            validate=self._validation(data) if len(data.validation) else None,
            validate_every=_VALIDATE_EVERY,
            measure="squared error",
        )

    def _generator(self, purpose: str, seed: int) -> torch.Generator:
        return torch_generator(seed, self.name, purpose)

    def _validation(self, data: FitData) -> Any:
        """Return a function that measures the network on the same changed slices every time."""
        drawn = self._generator("validation", data.seed)
        count = data.validation.n_slices
        chosen = torch.randperm(count, generator=drawn)[:_VALIDATED].sort().values
        slices = data.validation.slices(chosen)
        changed = augment.draw(len(slices), drawn)(slices)

        def squared_error() -> float:
            pairs = zip(
                torch.split(changed, self.config.slices_at_once),
                torch.split(slices, self.config.slices_at_once),
                strict=True,
            )
            total = 0.0
            for x, y in pairs:
                made = self.network(x.to(self.device)).clamp(0, 1)
                total += float((made - y.to(self.device)).square().sum())
            return total / slices.numel()

        return squared_error

    # Harmonising

    @torch.no_grad()
    def forward(self, scans: Scans) -> Scans:
        """Harmonise N scans, each with a harmoniser of its own; the background stays."""
        results = []
        for n in range(len(scans)):
            image, mask = scans.images[n], scans.masks[n]
            network = self.network
            if self.config.adapt_steps and bool(image.any()):
                noise = torch.rand(
                    image.shape,
                    generator=self._generator_of(scans.subjects[n], scans.sessions[n]),
                ).to(image)
                network = self.adapted(image, noise)
            results.append(harmonized(network, image, mask, self.config.slices_at_once))
        return scans.with_images(torch.stack(results) if results else scans.images.clone())

    def _generator_of(self, subject: str, session: str) -> torch.Generator:
        return torch_generator(int(self.seed), self.name, "noise", subject, session)

    @torch.enable_grad()
    def adapted(self, image: Tensor, noise: Tensor) -> Harmonizer:
        """Return a copy of the harmoniser that was trained on one scan `(S, H, W)`.

        It is trained until the flow finds what it makes as likely as scans of the target are in
        the mean, or for `adapt_steps` steps. Every step sees other slices, evenly spaced.
        """
        config = self.config
        network = copy.deepcopy(self.network).eval()
        optimizer = torch.optim.Adam(network.parameters(), lr=config.adapt_learning_rate)
        shown = image.flatten(1).any(dim=1).nonzero().squeeze(1)
        stride = -(-len(shown) // config.adapt_slices)
        for step in range(config.adapt_steps):
            index = shown[step % stride :: stride]
            made = network(image[index]).clamp(0, 1)
            cost = bits(self.blindharmony.flow, made, noise[index])
            excess = (cost - self.target_bits[index]).mean()
            if float(excess.detach()) <= config.adapt_deviations * float(self.deviation):
                break
            optimizer.zero_grad()
            excess.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        return network
