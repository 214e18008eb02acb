"""The paper's unpaired baseline: a CycleGAN between source and target slices."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.lr_scheduler import LambdaLR

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
    at_inference,
    seeded,
    torch_generator,
    train,
)

from ._settings import check_least
from ._slices import first_scans, training_steps, translate

# Where the constants below are from:
#   [S 2.3]    the supplement of the BlindHarmony paper, section 2.3 and Table 2
#   [Zhu 2017] Zhu et al. 2017, the CycleGAN that [S 2.3] names, for what it leaves open
#   [ours]     a choice of this project


@dataclass(frozen=True, kw_only=True)
class CycleGANConfig:
    """Settings of the networks and their training; the defaults are the paper's.

    The paper trains on all scans that there are: 348, 580, 842 and 581 sessions of 50
    slices of domains 1 to 4 against 75,240 slices of the target (Table 2), and on 76,775 of
    each where the shift is simulated. A method does not know its task, so the largest is
    what it takes at most; for another number, such as domain 1's on more data, say
    `--set cyclegan.source_slices=17400`.

    Raises
    ------
    UserError
        For a value outside of its range.
    """

    width: int = 64  # [Zhu 2017] a quarter of a residual block's channels
    blocks: int = 9  # [S 2.3] residual blocks
    discriminator_width: int = 64  # [Zhu 2017] channels of the first layer
    residual: bool = False  # [ours] the generator says what to add; [Zhu 2017] has no such sum

    source_slices: int = 76_775  # [S 2.3] at most this number; 0 is no limit
    target_slices: int = 76_775  # [S 2.3] at most this number; 0 is no limit
    epochs: int = 40  # [S 2.3] times through the larger of the two sets
    steps: int = 0  # [ours] training steps in place of epochs, if not 0
    batch_size: int = 1  # [Zhu 2017]
    learning_rate: float = 2e-4  # [S 2.3]; half of the steps constant, then linear to 0 [Zhu 2017]
    momentum: float = 0.5  # [Zhu 2017] Adam's first beta; the second is torch's usual 0.999
    cycle_weight: float = 10.0  # [Zhu 2017] lambda
    identity_weight: float = 0.5  # [Zhu 2017] times lambda
    pool_size: int = 50  # [Zhu 2017] earlier images that discriminators are shown

    slices_at_once: int = at_inference(50)  # [ours] bounds the memory; a scan has 50 slices

    def __post_init__(self) -> None:
        check_least(self, width=1, blocks=0, discriminator_width=1, source_slices=0)
        check_least(self, target_slices=0, epochs=1, steps=0, batch_size=1, momentum=0)
        check_least(self, cycle_weight=0, identity_weight=0, pool_size=0, slices_at_once=1)
        if not self.learning_rate > 0:
            raise UserError("learning_rate must be positive")
        if not self.momentum < 1:
            raise UserError("momentum must be below 1")


SMALLEST = 24  # rows and columns: of fewer, a discriminator's five convolutions leave nothing

PRESETS = {
    "paper": CycleGANConfig(),
    # What one CPU core fits in about two minutes, on slices of a quarter of the pixels [ours].
    "quick": CycleGANConfig(
        width=8,
        blocks=4,
        discriminator_width=16,
        residual=True,
        steps=1000,
        learning_rate=1e-3,
    ),
    # What `harmbench check` fits within a second [ours].
    "tiny": CycleGANConfig(
        width=4, blocks=1, discriminator_width=8, residual=True, steps=10, pool_size=3
    ),
}


class ResidualBlock(nn.Module):
    """Two convolutions 3 x 3 with instance normalisation and ReLU, added to their input.

    No ReLU after the second [Zhu 2017]: the sum could else only grow.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1, padding_mode="reflect"),
            nn.InstanceNorm2d(channels),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, padding=1, padding_mode="reflect"),
            nn.InstanceNorm2d(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map features `(B, C, H, W)` to features of the same shape."""
        changed: Tensor = self.layers(x)
        return x + changed


class Generator(nn.Module):
    """Two convolutions, residual blocks, three convolutions [S 2.3].

    Zhu et al. have three convolutions on either side: one 7 x 7 at full resolution, and two
    of stride 2, 3 x 3 with 128 and 256 channels; then the mirror image. [S 2.3] counts two
    before the blocks and three after. Two that go up again, and one that makes the image,
    are three; so the two before them are those of stride 2, and the one at full resolution
    is what is missing. The last convolution has tanh for instance normalisation and ReLU
    [Zhu 2017]: normalised, all images would have one mean and one variance.

    Parameters
    ----------
    width
        Channels are 2, 4, ..., 4, 2 and 1 times as many, then one.
    blocks
        Number of residual blocks.
    residual
        Add the input, and leave out the tanh.
    """

    def __init__(self, width: int, blocks: int, residual: bool) -> None:
        super().__init__()
        self.residual = residual
        self.layers = nn.Sequential(
            nn.Conv2d(1, 2 * width, 3, stride=2, padding=1),
            nn.InstanceNorm2d(2 * width),
            nn.ReLU(),
            nn.Conv2d(2 * width, 4 * width, 3, stride=2, padding=1),
            nn.InstanceNorm2d(4 * width),
            nn.ReLU(),
            *(ResidualBlock(4 * width) for _ in range(blocks)),
            nn.ConvTranspose2d(4 * width, 2 * width, 3, stride=2, padding=1, output_padding=1),
            nn.InstanceNorm2d(2 * width),
            nn.ReLU(),
            nn.ConvTranspose2d(2 * width, width, 3, stride=2, padding=1, output_padding=1),
            nn.InstanceNorm2d(width),
            nn.ReLU(),
            nn.Conv2d(width, 1, 7, padding=3, padding_mode="reflect"),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map slices `(B, 1, H, W)` to slices of the same shape; black is -1 and white is 1."""
        H, W = x.shape[-2:]
        # What cannot be halved twice is filled up by repeating the edge, and cut off again.
        full = F.pad(x, (0, -W % 4, 0, -H % 4), mode="replicate")
        made: Tensor = self.layers(full)[..., :H, :W]
        return x + made if self.residual else made.tanh()


class Discriminator(nn.Sequential):
    """Says of overlapping patches of 70 x 70 pixels how real they look: `(B, 1, h, w)`.

    Convolutions 4 x 4 with 1, 2, 4 and 8 times `width` channels, three of stride 2 and one
    of stride 1, and one that gives the answer [Zhu 2017]. [S 2.3] counts five convolutions,
    four leaky ReLUs (slope 0.2 [Zhu 2017]) and four instance normalisations; Zhu et al.
    leave out the first of those.
    """

    def __init__(self, width: int) -> None:
        layers: list[nn.Module] = []
        channels = 1
        for wider, stride in ((width, 2), (2 * width, 2), (4 * width, 2), (8 * width, 1)):
            layers += [
                nn.Conv2d(channels, wider, 4, stride=stride, padding=1),
                nn.InstanceNorm2d(wider),
                nn.LeakyReLU(0.2),
            ]
            channels = wider
        super().__init__(*layers, nn.Conv2d(channels, 1, 4, padding=1))


class ImagePool:
    """Earlier images of a generator, so that its discriminator does not forget [Zhu 2017].

    Parameters
    ----------
    size
        How many are kept; with 0, every image is shown as it comes.
    generator
        Draws which are shown and replaced.
    """

    def __init__(self, size: int, generator: torch.Generator) -> None:
        self.size = size
        self.images: list[Tensor] = []
        self._generator = generator

    def swap(self, images: Tensor) -> Tensor:
        """Return images as many as came `(B, 1, H, W)`: each is the new one, or an old one.

        Until the pool is full, new ones are shown and kept. Then every other is kept in the
        place of an old one, which is shown.
        """
        shown = []
        for image in images:
            if len(self.images) < self.size:
                self.images.append(image)
                shown.append(image)
            elif self.size and self._draw(2):
                place = self._draw(self.size)
                shown.append(self.images[place])
                self.images[place] = image
            else:
                shown.append(image)
        return torch.stack(shown)

    def _draw(self, count: int) -> int:
        return int(torch.randint(count, (), generator=self._generator))

    def state_dict(self) -> dict[str, Any]:
        """Return the images and the state of the generator."""
        # Copies: an image may be a view of its whole batch, which would be written with it.
        images = [image.clone() for image in self.images]
        return {"images": images, "generator": self._generator.get_state()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take images and generator back."""
        self.images = list(state["images"])
        self._generator.set_state(state["generator"])


def realness(answers: Tensor, wanted: float) -> Tensor:
    """Return the least squares adversarial loss of a discriminator's answers [Zhu 2017]."""
    return (answers - wanted).square().mean()


class Game:
    """Both generators, both discriminators and their pools, while they are trained."""

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
        """Return the generators' loss, and its parts, on source and target slices `(B, H, W)`."""
        x, y = (2 * slices[:, None] - 1 for slices in (x, y))
        # Together: instance normalisation keeps slices apart, and small batches are slow.
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
        """Return the discriminators' loss, on the same slices and what was made of them.

        Halved [Zhu 2017]: it slows the discriminators down against the generators.
        """
        x, y = (2 * slices[:, None] - 1 for slices in (x, y))
        assert self.fakes is not None
        fake_y, fake_x = self.targets.swap(self.fakes[0]), self.sources.swap(self.fakes[1])
        real_y, unreal_y = self.of_target(torch.cat([y, fake_y])).chunk(2)
        real_x, unreal_x = self.of_source(torch.cat([x, fake_x])).chunk(2)
        on_target = realness(real_y, 1) + realness(unreal_y, 0)
        on_source = realness(real_x, 1) + realness(unreal_x, 0)
        return (on_target + on_source) / 2


def initialized(network: nn.Module) -> nn.Module:
    """Draw the weights of all convolutions from N(0, 0.02^2), without biases [Zhu 2017]."""
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(layer.weight, 0.0, 0.02)
            assert layer.bias is not None
            nn.init.zeros_(layer.bias)
    return network


class CycleGAN(Method):
    """Learns both ways between two domains, so that there and back is where it began.

    The unpaired baseline of Jeong et al., ICCV 2023, after Zhu et al., "Unpaired
    image-to-image translation using cycle-consistent adversarial networks", ICCV 2017.
    What is stored is the generator from source to target.
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
            raise UserError(f"slices of {H} x {W} are too small; {SMALLEST} x {SMALLEST} is least")
        self.generator = self._seeded_generator(seed=0)

    def new_generator(self) -> Generator:
        """Return a generator of these settings, with torch's own initial weights."""
        return Generator(self.config.width, self.config.blocks, self.config.residual)

    def _seeded_generator(self, seed: int) -> nn.Module:
        with seeded(seed, "cyclegan", "weights"):
            return initialized(self.new_generator())

    def fit(self, data: FitData, progress: FitProgress) -> None:
        """Train both ways on slices of source and target, drawn independently of each other.

        Raises
        ------
        DivergedError
            If the training runs away.
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
        made: Tensor = self.generator(2 * x - 1)
        return (made + 1) / 2

    def forward(self, scans: Scans) -> Scans:
        """Translate N scans `(N, S, H, W)` slice by slice; the background stays as it is."""
        return translate(scans, self._translate, self.config.slices_at_once)
