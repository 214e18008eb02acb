"""CycleGAN: the method, its losses and its training."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.lr_scheduler import LambdaLR

from harmbench import (
    FitData,
    FitProgress,
    Grid,
    Needs,
    Phase,
    Scans,
    SliceBatches,
    StackMethod,
    UserError,
    seeded,
    torch_generator,
    train,
)

from .._slices import first_scans, training_steps, translate
from .config import PRESETS, CycleGANConfig
from .image_pool import ImagePool
from .networks import SMALLEST, Discriminator, Generator, initialized


def realness(ratings: Tensor, target: float) -> Tensor:
    """Return the least squares adversarial loss of a discriminator's ratings [Zhu 2017]."""
    return (ratings - target).square().mean()


class Game:
    """Both generators, both discriminators and their image pools during training."""

    def __init__(self, method: CycleGAN, seed: int) -> None:
        config = method.config
        self.config = config
        self.to_target = method.generator
        with seeded(seed, "cyclegan", "opponents"):
            self.to_source = initialized(method.new_generator()).to(method.device)
            self.of_target, self.of_source = (
                initialized(Discriminator(config.discriminator_width)).to(method.device)
                for _ in range(2)
            )
        self.targets, self.sources = (
            ImagePool(config.pool_size, torch_generator(seed, "cyclegan", "pool", of))
            for of in ("target", "source")
        )
        self.fakes: tuple[Tensor, Tensor] | None = None

    def generators_loss(self, x: Tensor, y: Tensor) -> dict[str, Tensor]:
        """Return the generators' loss and its terms on source and target slices `(B, H, W)`."""
        x, y = (2 * slices[:, None] - 1 for slices in (x, y))
        # In one batch: instance normalisation treats slices separately, small batches are slow.
        fake_y, same_y = self.to_target(torch.cat([x, y])).chunk(2)
        fake_x, same_x = self.to_source(torch.cat([y, x])).chunk(2)
        self.fakes = fake_y.detach(), fake_x.detach()
        adversarial = realness(self.of_target(fake_y), 1) + realness(self.of_source(fake_x), 1)
        cycle = F.l1_loss(self.to_source(fake_y), x) + F.l1_loss(self.to_target(fake_x), y)
        identity = F.l1_loss(same_y, y) + F.l1_loss(same_x, x)
        weight = self.config.cycle_weight
        loss = adversarial + weight * (cycle + self.config.identity_weight * identity)
        return {"loss": loss, "adversarial": adversarial, "cycle": cycle, "identity": identity}

    def discriminators_loss(self, x: Tensor, y: Tensor) -> Tensor:
        """Return the discriminators' loss on the same slices and their translations.

        Halved [Zhu 2017]: this slows the discriminators relative to the generators.
        """
        x, y = (2 * slices[:, None] - 1 for slices in (x, y))
        assert self.fakes is not None
        fake_y, fake_x = self.targets.swap(self.fakes[0]), self.sources.swap(self.fakes[1])
        real_y, unreal_y = self.of_target(torch.cat([y, fake_y])).chunk(2)
        real_x, unreal_x = self.of_source(torch.cat([x, fake_x])).chunk(2)
        on_target = realness(real_y, 1) + realness(unreal_y, 0)
        on_source = realness(real_x, 1) + realness(unreal_x, 0)
        return (on_target + on_source) / 2


class CycleGAN(StackMethod):
    """Learns to translate between two domains in both directions, with cycle consistency.

    The unpaired baseline of Jeong et al., ICCV 2023, after Zhu et al., "Unpaired
    image-to-image translation using cycle-consistent adversarial networks", ICCV 2017.
    Only the generator from source to target is stored.
    """

    name = "cyclegan"
    summary = "a CycleGAN trained on slices of the source and the target, without pairs"
    needs = Needs.UNPAIRED
    reference = "https://doi.org/10.1109/ICCV.2017.244"
    Config = CycleGANConfig
    presets = PRESETS

    config: CycleGANConfig

    def __init__(self, grid: Grid, config: CycleGANConfig | None = None) -> None:
        super().__init__(grid, config)
        _, H, W = grid.shape
        if min(H, W) < SMALLEST:
            raise UserError(f"slices of {H} x {W} are too small; at least {SMALLEST} x {SMALLEST}")
        self.generator = self._seeded_generator(seed=0)

    def new_generator(self) -> Generator:
        """Return a generator with these settings and torch's default initial weights."""
        return Generator(self.config.width, self.config.blocks, self.config.residual)

    def _seeded_generator(self, seed: int) -> nn.Module:
        with seeded(seed, "cyclegan", "weights"):
            return initialized(self.new_generator())

    def fit(self, data: FitData, progress: FitProgress) -> None:
        """Train both directions on slices of source and target, drawn independently.

        Raises
        ------
        DivergedError
            If the training diverges.
        """
        config = self.config
        self.generator.load_state_dict(self._seeded_generator(data.seed).state_dict())
        source = first_scans(data.source, config.source_slices)
        target = first_scans(data.target, config.target_slices)
        progress.fact("source_slices", source.n_slices)
        progress.fact("training_slices", target.n_slices)
        larger = max(source.n_slices, target.n_slices)
        steps = training_steps(config.steps, config.epochs, larger, config.batch_size)
        game = Game(self, data.seed)

        def phase(name: str, loss: Any, *networks: nn.Module) -> Phase:
            parameters = [tensor for network in networks for tensor in network.parameters()]
            optimizer = torch.optim.Adam(
                parameters, lr=config.learning_rate, betas=(config.momentum, 0.999)
            )
            decay = LambdaLR(optimizer, lambda step: min(1.0, 2 * (1 - step / steps)))
            return Phase(loss=loss, optimizer=optimizer, schedule=decay, name=name)

        train(
            self.generator,
            SliceBatches(
                source,
                target,
                size=config.batch_size,
                device=self.device,
                generator=torch_generator(data.seed, "cyclegan", "batches"),
            ),
            [
                phase("generators", game.generators_loss, game.to_target, game.to_source),
                phase("discriminators", game.discriminators_loss, game.of_target, game.of_source),
            ],
            progress,
            name="cyclegan",
            steps=steps,
            keep=[game.to_source, game.of_target, game.of_source, game.targets, game.sources],
        )

    def _translate(self, x: Tensor) -> Tensor:
        output: Tensor = self.generator(2 * x - 1)
        return (output + 1) / 2

    def forward_stack(self, scans: Scans, stack: Scans) -> Scans:
        """Translate N stacks `(N, K, H, W)` slice by slice; the background stays as it is."""
        return translate(stack, self._translate, self.config.slices_at_once)
