"""What the segmenters have in common: a U-Net that is trained on the target's labels."""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

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
        width=16,
        levels=4,
        units=1,
        steps=500,
        batch_size=16,
        learning_rate=3e-3,
        validate_every=100,
    ),
    # What `harmbench check` fits within a second.
    "tiny": SegmenterConfig(
        width=4,
        levels=3,
        units=1,
        steps=10,
        batch_size=4,
        learning_rate=1e-2,
        validate_every=5,
    ),
}


class LabelAugmentation(ABC):
    """MONAI's random affine transforms of a slice and its labels together, and a flip.

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

    @abstractmethod
    def __call__(self, image: Tensor, classes: Tensor, seed: int) -> tuple[Tensor, Tensor]:
        """Transform a slice in [0, 1] and its classes, `(H, W)` each, by what `seed` draws."""

    def _moved(self, maps: list[Tensor], seed: int) -> Tensor:
        """Return maps `(H, W)` after the transform that `seed` draws: `(M, H, W)`."""
        self._spatial.set_random_state(seed=seed)
        moved: Tensor = self._spatial(torch.stack(maps)).as_tensor()
        return moved


class _Batches:
    """Slices and their classes, drawn at random with replacement, and augmented."""

    def __init__(
        self,
        network: SegmentationNetwork,
        scans: ScanSet,
        generator: torch.Generator,
    ) -> None:
        self._network = network
        self._scans = scans
        self._generator = generator
        self._augmentation = network.augmentation(scans.grid.shape[1:])

    def draw(self) -> tuple[Tensor, ...]:
        """Return images `(B, H, W)` in [0, 1], and the class of each pixel, `(B, H, W)`."""
        size = self._network.config.batch_size
        indices = torch.randint(self._scans.n_slices, (size,), generator=self._generator)
        # A seed a slice, so that the generator's state is the whole state.
        seeds = torch.randint(2**31, (size,), generator=self._generator).tolist()
        images = self._scans.slices(indices)
        classes = self._network.classes(self._scans.label_slices(indices))
        pairs = [
            self._augmentation(*arguments) for arguments in zip(images, classes, seeds, strict=True)
        ]
        device = self._network.device
        return tuple(torch.stack(side).to(device) for side in zip(*pairs, strict=True))

    def state_dict(self) -> dict[str, Any]:
        """Return the state of the generator."""
        return {"generator": self._generator.get_state()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Set the state of the generator."""
        self._generator.set_state(state["generator"])


class SegmentationNetwork(Instrument):
    """A 2-D U-Net (MONAI's) that finds tissues of the target's scans.

    Trained on the target's training scans and their labels with Dice plus cross-entropy, and
    chosen by the Dice of the validation scans. It is normalised by batches: instance
    normalisation would undo a part of the domain gap before harmonisation could.

    Attributes
    ----------
    tissues
        Values of the tissue labels that it finds, by name.
    augmentation
        Class of the random transforms of slices and classes.
    """

    tissues: ClassVar[Mapping[str, int]]
    augmentation: ClassVar[type[LabelAugmentation]]
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
            out_channels=1 + len(self.tissues),
            channels=[settings.width * 2**level for level in range(settings.levels)],
            strides=[2] * (settings.levels - 1),
            num_res_units=settings.units,
            norm="batch",
        )

    @abstractmethod
    def classes(self, labels: Tensor) -> Tensor:
        """Return the class of each pixel of tissue labels: 0, or from 1 the tissue's number."""

    def fit(self, data: FitData, progress: FitProgress) -> None:
        """Learn from the target's labels.

        Raises
        ------
        UserError
            If the training scans have no labels.
        DivergedError
            If the training diverges.
        """
        from monai.losses import DiceCELoss

        config = self.config
        if not data.target.labelled:
            raise UserError(f"the training scans of '{data.target.domain}' have no labels")
        self._check_labels(data.target)
        generator = torch_generator(data.seed, self.name, "batches")
        criterion = DiceCELoss(include_background=False, to_onehot_y=True, softmax=True, batch=True)

        def loss(images: Tensor, classes: Tensor) -> Tensor:
            value: Tensor = criterion(self.network(images[:, None]), classes[:, None])
            return value

        optimizer = torch.optim.Adam(self.network.parameters(), lr=config.learning_rate)
        validated = len(data.validation) and data.validation.labelled
        best = train(
            self.network,
            _Batches(self, data.target, generator),
            Phase(
                loss=loss,
                optimizer=optimizer,
                schedule=CosineAnnealingLR(optimizer, config.steps),
                name="dice and cross-entropy",
            ),
            progress,
            name=self.name,
            steps=config.steps,
            validate=functools.partial(self._missed, data.validation) if validated else None,
            validate_every=config.validate_every,
            measure="1 - Dice",
        )
        if best is not None:
            progress.fact("validation_dice", 1 - best)

    def _check_labels(self, target: ScanSet) -> None:
        """Raise a `UserError` if labels have nothing to learn; by default they have."""

    def _missed(self, validation: ScanSet) -> float:
        """Return 1 minus the mean Dice coefficient of all tissues of labelled scans."""
        values = []
        for scans in validation.batches():
            predicted, true = self(scans).predicted.cpu(), scans.labels
            assert true is not None
            for value in self.tissues.values():
                one, other = predicted == value, true == value
                if other.any():
                    values.append(2 * float((one & other).sum()) / float(one.sum() + other.sum()))
        return 1 - sum(values) / len(values) if values else float("nan")

    def _scores(self, scans: Scans) -> Iterator[Tensor]:
        """Return the class scores of some slices at a time: `(B, 1 + tissues, H, W)`."""
        slices = scans.images.reshape(-1, 1, *scans.images.shape[2:])
        for part in torch.split(slices, self.config.slices_at_once):
            yield self.network(part.to(self.device))


def most_probable(scores: Iterable[Tensor], scans: Scans) -> Tensor:
    """Return the number of the most probable class of each pixel: uint8 `(N, S, H, W)`."""
    found = torch.cat([part.argmax(dim=1) for part in scores])
    return found.to(scans.images.device, torch.uint8).view(scans.images.shape)
