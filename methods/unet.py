"""The paper's paired baseline: a U-Net from source slices to target slices."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from monai.networks.nets.basic_unet import Down, TwoConv, UpCat
from torch import Tensor, nn
from torch.optim.lr_scheduler import CosineAnnealingLR

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
    at_inference,
    seeded,
    torch_generator,
    train,
)

from ._settings import check_minima, check_positive
from ._slices import first_scans, training_steps, translate

# Where the constants below are from:
#   [S 2.2]  the supplement of the BlindHarmony paper, section 2.2 and Table 2
#   [R 2015] Ronneberger et al. 2015, the U-Net that [S 2.2] names, for unspecified details
#   [ours]   a choice of this project


@dataclass(frozen=True, kw_only=True)
class UNetConfig:
    """Settings of the network and its training; the defaults are the paper's.

    The paper trains on all available pairs: 102, 195, 503 and 387 sessions of 50
    slices for domains 1 to 4 (Table 2), and 76,775 slices of simulated pairs. A method does
    not know its task, so the default limit is the largest of these numbers. For another one,
    such as that of domain 1, use `--set unet.training_slices=5100`.

    Raises
    ------
    UserError
        For a value outside of its range.
    """

    levels: int = 4  # [S 2.2] "4 Down blocks and 4 Up blocks"
    width: int = 64  # [R 2015] channels at full resolution; doubled by each Down block
    residual: bool = False  # [ours] the network's output is added to the input; not in [S 2.2]

    training_slices: int = 76_775  # [S 2.2] limit of pairs of slices; 0 is no limit
    epochs: int = 120  # [S 2.2]
    steps: int = 0  # [ours] training steps in place of epochs, if not 0
    batch_size: int = 16  # [ours] the paper does not say
    learning_rate: float = 1e-3  # [S 2.2] constant
    annealed: bool = False  # [ours] lower it to 0 along a cosine

    slices_at_once: int = at_inference(50)  # [ours] bounds the memory; a scan has 50 slices

    def __post_init__(self) -> None:
        check_minima(self, levels=1, width=1, training_slices=0, epochs=1, steps=0)
        check_minima(self, batch_size=1, slices_at_once=1)
        check_positive(self, "learning_rate")


PRESETS = {
    "paper": UNetConfig(),
    # Fitted on one CPU core in a minute and a half, on slices of a quarter of the pixels [ours].
    "quick": UNetConfig(
        width=8,
        residual=True,
        steps=500,
        batch_size=8,
        learning_rate=3e-3,
        annealed=True,
    ),
    # For `harmbench check`: fitted within a second [ours].
    "tiny": UNetConfig(width=4, residual=True, steps=8, batch_size=4, learning_rate=1e-2),
}


class UNet(nn.Module):
    """Levels of two convolutions, going down by max-pooling and up by bilinear upsampling.

    Every level is two times convolution 3 x 3, batch normalisation and ReLU [S 2.2], with
    `width * 2^level` channels. Upsampled features are concatenated with those of the same
    resolution on the way down; upsampling has no convolution. A last 1 x 1 convolution
    [R 2015] returns the image, of any range.
    """

    def __init__(self, levels: int, width: int) -> None:
        super().__init__()
        widths = [width * 2**level for level in range(levels + 1)]
        # No bias: the batch normalisation that follows removes it.
        block: dict[str, Any] = {"act": "relu", "norm": "batch", "bias": False}
        self.first = TwoConv(2, 1, width, **block)
        self.down = nn.ModuleList(
            Down(2, widths[level], widths[level + 1], **block) for level in range(levels)
        )
        # Halves of an odd number of rows (72 are 4.5 x 16) are rounded down on the way down;
        # on the way up the last row of the features (not of the image) is repeated. It is
        # background: heads do not reach the edge.
        self.up = nn.ModuleList(
            UpCat(
                2,
                widths[level + 1],
                widths[level],
                widths[level],
                **block,
                upsample="nontrainable",
                interp_mode="bilinear",
                pre_conv=None,
                is_pad=True,
            )
            for level in reversed(range(levels))
        )
        self.last = nn.Conv2d(width, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map slices `(B, 1, H, W)` to slices of the same shape."""
        features = [self.first(x)]
        for down in self.down:
            features.append(down(features[-1]))
        result = features.pop()
        for up in self.up:
            result = up(result, features.pop())
        image: Tensor = self.last(result)
        return image


class UNetMethod(StackMethod):
    """Learns from pairs to translate slices of the source scanner into the target scanner's.

    The supervised baseline of Jeong et al., ICCV 2023, after Ronneberger et al. 2015.
    """

    name = "unet"
    summary = "a U-Net trained with L1 loss on same-subject pairs of source and target slices"
    needs = Needs.PAIRED
    reference = "https://doi.org/10.1007/978-3-319-24574-4_28"
    Config = UNetConfig
    presets = PRESETS

    config: UNetConfig

    def __init__(self, grid: Grid, config: UNetConfig | None = None) -> None:
        super().__init__(grid, config)
        if min(grid.shape[1:]) < 2**self.config.levels:
            _, H, W = grid.shape
            raise UserError(f"slices of {H} x {W} cannot be halved {self.config.levels} times")
        self.network = self._new_network(seed=0)

    def _new_network(self, seed: int) -> UNet:
        with seeded(seed, "unet", "weights"):
            return UNet(self.config.levels, self.config.width)

    def _translate(self, x: Tensor) -> Tensor:
        translated: Tensor = self.network(x)
        return x + translated if self.config.residual else translated

    def fit(self, data: FitData, progress: FitProgress) -> None:
        """Learn from the pairs; the last state is taken, without validation [S 2.2].

        Raises
        ------
        DivergedError
            If the training diverges.
        """
        config = self.config
        self.network.load_state_dict(self._new_network(data.seed).state_dict())
        source, target = (first_scans(side, config.training_slices) for side in data.pairs)
        progress.fact("training_slices", source.n_slices)
        steps = training_steps(config.steps, config.epochs, source.n_slices, config.batch_size)
        optimizer = torch.optim.Adam(self.network.parameters(), lr=config.learning_rate)
        batches = SliceBatches(
            source,
            target,
            size=config.batch_size,
            device=self.device,
            generator=torch_generator(data.seed, "unet", "batches"),
            paired=True,
        )

        def mean_absolute_error(x: Tensor, y: Tensor) -> Tensor:
            # Before clamping: where the range is left, the gradient must lead back.
            return (self._translate(x[:, None])[:, 0] - y).abs().mean()

        train(
            self.network,
            batches,
            Phase(
                loss=mean_absolute_error,
                optimizer=optimizer,
                schedule=CosineAnnealingLR(optimizer, steps) if config.annealed else None,
                cuda_graph=True,
            ),
            progress,
            name="unet",
            steps=steps,
            measure="mean absolute error",
        )

    def forward_stack(self, scans: Scans, stack: Scans) -> Scans:
        """Translate N stacks `(N, K, H, W)` slice by slice; the background stays as it is."""
        return translate(stack, self._translate, self.config.slices_at_once)
