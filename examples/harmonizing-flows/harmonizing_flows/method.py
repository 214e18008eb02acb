"""The blind method: fitted to the target, and adapted to each scan."""

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

_VALIDATION_SLICES = 200  # maximum number
_VALIDATE_EVERY = 100  # steps


def harmonized(network: Harmonizer, image: Tensor, mask: Tensor, slices_at_once: int) -> Tensor:
    """Harmonise a scan `(S, H, W)`; the background does not change."""
    output = torch.cat([network(part) for part in torch.split(image, slices_at_once)])
    return torch.where(mask, output.clamp(0, 1), image)


class HarmonizingFlows(Method):
    """Undo random changes of intensity, with an adaptation to each scan by the target's flow.

    Beizaee et al., "Harmonizing Flows: Unsupervised MR harmonization based on normalizing
    flows", IPMI 2023. A U-Net, the harmoniser, learns to restore randomly changed slices of the
    target. To harmonise a scan, a copy of the network is trained on this scan until its slices
    are as likely under the flow as the target's. The flow is that of `blindharmony`; both
    methods share one fit.

    Attributes
    ----------
    target_bits
        `(S,)`: mean bits per dimension of the target's scans, by slice.
    deviation
        Standard deviation over the target's scans, in bits per dimension.
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
        """Return the method whose fit contains the flow."""
        return {"blindharmony": (BlindHarmony, config.flow)}

    def _new_network(self, seed: int) -> Harmonizer:
        with seeded(seed, self.name, "weights"):
            return Harmonizer(self.config.depth, self.config.width)

    # Fitting

    def fit(self, data: FitData, progress: FitProgress) -> None:
        """Train the harmoniser, and measure the likelihood of the target's slices.

        Raises
        ------
        DivergedError
            If the training diverges.
        """
        config = self.config
        self.seed.fill_(data.seed)
        target_scans = itertools.islice(each(data.validation, data.target), config.bits_scans)
        flow, generator = self.blindharmony.flow, self._generator("bits", data.seed)
        natural, deviation = natural_bits(flow, target_scans, generator)
        self.target_bits.copy_(natural)
        self.deviation.fill_(deviation)
        progress.fact("target_bits", float(natural.mean()))
        progress.fact("target_bits_deviation", deviation)

        self.network.load_state_dict(self._new_network(data.seed).state_dict())
        optimizer = torch.optim.Adam(
            self.network.parameters(), lr=config.harmonizer_learning_rate, betas=(0.9, 0.99)
        )
        changes = self._generator("augmentations", data.seed)

        def squared_error(x: Tensor) -> Tensor:
            change = augment.to(augment.draw(len(x), changes), x.device)
            # Without clamping: values outside [0, 1] need a gradient.
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
            keep=[changes],
            validate=self._validation(data) if len(data.validation) else None,
            validate_every=_VALIDATE_EVERY,
            measure="squared error",
        )

    def _generator(self, purpose: str, seed: int) -> torch.Generator:
        return torch_generator(seed, self.name, purpose)

    def _validation(self, data: FitData) -> Any:
        """Return a function that measures the network on a fixed set of changed slices."""
        generator = self._generator("validation", data.seed)
        count = data.validation.n_slices
        chosen = torch.randperm(count, generator=generator)[:_VALIDATION_SLICES].sort().values
        slices = data.validation.slices(chosen)
        changed = augment.draw(len(slices), generator)(slices)

        def squared_error() -> float:
            pairs = zip(
                torch.split(changed, self.config.slices_at_once),
                torch.split(slices, self.config.slices_at_once),
                strict=True,
            )
            total = 0.0
            for x, y in pairs:
                output = self.network(x.to(self.device)).clamp(0, 1)
                total += float((output - y.to(self.device)).square().sum())
            return total / slices.numel()

        return squared_error

    # Harmonising

    @torch.no_grad()
    def forward(self, scans: Scans) -> Scans:
        """Harmonise N scans, each by its own copy of the harmoniser; the background is kept."""
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
        """Return a copy of the harmoniser, trained on one scan `(S, H, W)`.

        Training ends when the output's bits reach the mean of the target's scans, or after
        `adapt_steps` steps. Every step uses different slices at equal distances.
        """
        config = self.config
        network = copy.deepcopy(self.network).eval()
        optimizer = torch.optim.Adam(network.parameters(), lr=config.adapt_learning_rate)
        brain = image.flatten(1).any(dim=1).nonzero().squeeze(1)
        stride = -(-len(brain) // config.adapt_slices)
        for step in range(config.adapt_steps):
            index = brain[step % stride :: stride]
            output = network(image[index]).clamp(0, 1)
            slice_bits = bits(self.blindharmony.flow, output, noise[index])
            excess = (slice_bits - self.target_bits[index]).mean()
            if float(excess.detach()) <= config.adapt_deviations * float(self.deviation):
                break
            optimizer.zero_grad()
            excess.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        return network
