"""The instrument of the downstream tasks: a U-Net that finds white matter on target scans."""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.optim.lr_scheduler import CosineAnnealingLR

from harmbench import (
    FitData,
    FitProgress,
    Grid,
    Instrument,
    Phase,
    Scans,
    ScanSet,
    UserError,
    torch_generator,
    train,
)

WHITE = 3  # value of the tissue labels


@dataclass(frozen=True, kw_only=True)
class SegmenterConfig:
    """Settings of the network and its training.

    The paper says of its segmentation network no more than that it was trained on the target
    domain; all of this is ours.

    Raises
    ------
    UserError
        For a value outside of its range.
    """

    width: int = 32  # channels of the first level; doubled by each further one
    levels: int = 5
    units: int = 2  # residual units of each level
    steps: int = 10_000
    batch_size: int = 32
    learning_rate: float = 1e-3  # lowered to 0 along a cosine
    validate_every: int = 1000
    slices_at_once: int = 50  # bounds the memory; a scan has 50 slices

    def __post_init__(self) -> None:
        for name in ("width", "units", "steps", "batch_size", "validate_every", "slices_at_once"):
            if getattr(self, name) < 1:
                raise UserError(f"{name} must be at least 1")
        if self.levels < 2:
            raise UserError("levels must be at least 2")
        if not self.learning_rate > 0:
            raise UserError("learning_rate must be positive")


PRESETS = {
    "paper": SegmenterConfig(),
    # What one CPU core fits in some two minutes, on slices of a quarter of the pixels.
    "quick": SegmenterConfig(
        width=16, levels=4, units=1, steps=500, batch_size=16, learning_rate=3e-3,
        validate_every=100,
    ),
    # What `harmbench check` fits within a second.
    "tiny": SegmenterConfig(
        width=4, levels=3, units=1, steps=10, batch_size=4, learning_rate=1e-2, validate_every=5,
    ),
}  # fmt: skip


class Augmentation:
    """MONAI's random affine transforms of a slice and its white matter together, and a flip.

    Slices are turned by up to 15 degrees, scaled by up to 10 %, sheared by up to 5 % and
    moved by up to 5 % of their size, and every second is mirrored. Intensities stay
    as they are: a segmenter that was trained on changed intensities would be insensitive to
    the shifts that harmonisation has to correct.

    Parameters
    ----------
    shape
        H and W.
    """

    def __init__(self, shape: tuple[int, int]) -> None:
        from monai.transforms import Compose, RandAffine, RandFlip

        self._spatial = Compose(
            [
                RandFlip(prob=0.5, spatial_axis=0),
                RandAffine(
                    prob=1.0,
                    rotate_range=0.26,
                    shear_range=0.05,
                    scale_range=0.1,
                    translate_range=[0.05 * size for size in shape],
                    mode="bilinear",
                    padding_mode="zeros",
                ),
            ]
        )

    def __call__(self, image: Tensor, white: Tensor, seed: int) -> tuple[Tensor, Tensor]:
        """Transform a slice in [0, 1] and its white matter in {0, 1}, by what `seed` draws.

        Both are `(H, W)`. What was interpolated is white matter if more than half of it was.
        """
        self._spatial.set_random_state(seed=seed)
        moved = self._spatial(torch.stack((image, white))).as_tensor()
        return moved[0].clamp(0, 1), (moved[1] > 0.5).float()


class _Batches:
    """Slices and their white matter, drawn at random with replacement, and augmented."""

    def __init__(
        self,
        scans: ScanSet,
        size: int,
        device: torch.device,
        generator: torch.Generator,
        augmentation: Augmentation,
    ) -> None:
        self._scans = scans
        self._size = size
        self._device = device
        self._generator = generator
        self._augmentation = augmentation

    def draw(self) -> tuple[Tensor, ...]:
        """Return images `(B, H, W)` in [0, 1], and where white matter is, `(B, H, W)` in {0, 1}."""
        indices = torch.randint(self._scans.n_slices, (self._size,), generator=self._generator)
        # A seed a slice, so that the generator's state is the whole state.
        seeds = torch.randint(2**31, (self._size,), generator=self._generator).tolist()
        images = self._scans.slices(indices)
        white = (self._scans.label_slices(indices) == WHITE).float()
        pairs = [
            self._augmentation(*arguments) for arguments in zip(images, white, seeds, strict=True)
        ]
        return tuple(torch.stack(side).to(self._device) for side in zip(*pairs, strict=True))

    def state_dict(self) -> dict[str, Any]:
        """Return the state of the generator."""
        return {"generator": self._generator.get_state()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Set the state of the generator."""
        self._generator.set_state(state["generator"])


class Segmenter(Instrument):
    """A 2-D U-Net (MONAI's) that says of each pixel whether it is white matter.

    Trained on the target's training scans and their labels with Dice plus cross-entropy, and
    chosen by the Dice of the validation scans. It is normalised by batches: instance
    normalisation would undo a part of the domain gap before harmonisation could.
    """

    name = "segmenter"
    summary = "a U-Net trained to find white matter on the target's scans"
    Config = SegmenterConfig
    presets = PRESETS

    config: SegmenterConfig

    def __init__(self, grid: Grid, config: SegmenterConfig | None = None) -> None:
        from monai.networks.nets import UNet

        super().__init__(grid, config)
        settings = self.config
        _, H, W = grid.shape
        halved = 2 ** (settings.levels - 1)
        if H % halved or W % halved:
            raise UserError(f"slices of {H} x {W} cannot be halved {settings.levels - 1} times")
        self.network = UNet(
            spatial_dims=2,
            in_channels=1,
            out_channels=2,
            channels=[settings.width * 2**level for level in range(settings.levels)],
            strides=[2] * (settings.levels - 1),
            num_res_units=settings.units,
            norm="batch",
        )

    def fit(self, data: FitData, progress: FitProgress) -> None:
        """Learn from the target's labels.

        Raises
        ------
        UserError
            If the training scans have no labels, or no white matter in them.
        DivergedError
            If the training runs away.
        """
        from monai.losses import DiceCELoss

        config = self.config
        if not data.target.labelled:
            raise UserError(f"the training scans of '{data.target.domain}' have no labels")
        if not any(_white(scans).any() for scans in data.target.batches()):
            raise UserError(
                f"the labels of '{data.target.domain}' have no white matter; see [labels] in "
                "the recipe"
            )
        batches = _Batches(
            data.target,
            config.batch_size,
            self.device,
            torch_generator(data.seed, "segmenter", "batches"),
            Augmentation(self.grid.shape[1:]),
        )
        criterion = DiceCELoss(include_background=False, to_onehot_y=True, softmax=True, batch=True)

        def loss(images: Tensor, white: Tensor) -> Tensor:
            value: Tensor = criterion(self.network(images[:, None]), white[:, None])
            return value

        optimizer = torch.optim.Adam(self.network.parameters(), lr=config.learning_rate)
        validated = len(data.validation) and data.validation.labelled
        best = train(
            self.network,
            batches,
            Phase(
                loss=loss,
                optimizer=optimizer,
                schedule=CosineAnnealingLR(optimizer, config.steps),
                name="dice and cross-entropy",
            ),
            progress,
            name="segmenter",
            steps=config.steps,
            validate=functools.partial(self._missed, data.validation) if validated else None,
            validate_every=config.validate_every,
            measure="1 - Dice",
        )
        if best is not None:
            progress.fact("validation_dice", 1 - best)

    def _missed(self, validation: ScanSet) -> float:
        """Return 1 minus the mean Dice coefficient of scans that are labelled."""
        values = []
        for scans in validation.batches():
            predicted, true = self(scans).predicted.cpu() == WHITE, _white(scans)
            if true.any():
                values.append(
                    2 * float((predicted & true).sum()) / float(predicted.sum() + true.sum())
                )
        return 1 - sum(values) / len(values) if values else float("nan")

    @torch.no_grad()
    def forward(self, scans: Scans) -> Scans:
        """Find the white matter of N scans.

        Parameters
        ----------
        scans
            Images `(N, S, H, W)` in [0, 1], on any device; any number of slices.

        Returns
        -------
        Scans
            With `predicted`, `(N, S, H, W)` uint8 on the device of the images: 3 where white
            matter was found, else 0.
        """
        slices = scans.images.reshape(-1, 1, *scans.images.shape[2:])
        predicted = [
            self.network(part.to(self.device)).argmax(dim=1)
            for part in torch.split(slices, self.config.slices_at_once)
        ]
        white = torch.cat(predicted).to(scans.images.device, torch.uint8) * WHITE
        return replace(scans, predicted=white.view(scans.images.shape))


def _white(scans: Scans) -> Tensor:
    """Return where the true white matter of labelled scans is: bool `(N, S, H, W)`."""
    assert scans.labels is not None
    return scans.labels == WHITE
