"""The instrument of the biology tasks: a U-Net that finds three tissues on target scans."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import replace
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

from .segmenter import PRESETS, Augmentation, SegmenterConfig

TISSUES = {"csf": 1, "gm": 2, "wm": 3}  # values of the tissue labels


class TissueAugmentation(Augmentation):
    """The random affine transforms of a slice and its labels together; see `Augmentation`."""

    def __call__(self, image: Tensor, labels: Tensor, seed: int) -> tuple[Tensor, Tensor]:
        """Transform a slice in [0, 1] and its labels, `(H, W)` each, by what `seed` draws."""
        self._spatial.set_random_state(seed=seed)
        maps = [(labels == value).float() for value in (0, *TISSUES.values())]
        moved = self._spatial(torch.stack([image, *maps])).as_tensor()
        # Outside of the slice all maps are 0, so the background is the largest, as the first.
        return moved[0].clamp(0, 1), moved[1:].argmax(dim=0)


class _TissueBatches:
    """Slices and their labels, drawn at random with replacement, and augmented."""

    def __init__(
        self, scans: ScanSet, size: int, device: torch.device, generator: torch.Generator
    ) -> None:
        self._scans, self._size = scans, size
        self._device, self._generator = device, generator
        self._augmentation = TissueAugmentation(scans.grid.shape[1:])

    def draw(self) -> tuple[Tensor, ...]:
        """Return images `(B, H, W)` in [0, 1] and labels `(B, H, W)` int64."""
        indices = torch.randint(self._scans.n_slices, (self._size,), generator=self._generator)
        # A seed a slice, so that the generator's state is the whole state.
        seeds = torch.randint(2**31, (self._size,), generator=self._generator).tolist()
        pairs = [
            self._augmentation(*arguments)
            for arguments in zip(
                self._scans.slices(indices), self._scans.label_slices(indices), seeds, strict=True
            )
        ]
        return tuple(torch.stack(side).to(self._device) for side in zip(*pairs, strict=True))

    def state_dict(self) -> dict[str, Any]:
        """Return the state of the generator."""
        return {"generator": self._generator.get_state()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Set the state of the generator."""
        self._generator.set_state(state["generator"])


class TissueSegmenter(Instrument):
    """A 2-D U-Net (MONAI's) that finds fluid, grey and white matter.

    Trained on the target's training scans and their labels with Dice plus cross-entropy, as the
    segmenter of white matter, and chosen by the Dice of the validation scans.
    """

    name = "tissue-segmenter"
    summary = "a U-Net trained to find fluid, grey and white matter on the target's scans"
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
            out_channels=1 + len(TISSUES),
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
            If the training scans have no labels.
        DivergedError
            If the training runs away.
        """
        from monai.losses import DiceCELoss

        config = self.config
        if not data.target.labelled:
            raise UserError(f"the training scans of '{data.target.domain}' have no labels")
        generator = torch_generator(data.seed, self.name, "batches")
        criterion = DiceCELoss(include_background=False, to_onehot_y=True, softmax=True, batch=True)

        def loss(images: Tensor, labels: Tensor) -> Tensor:
            value: Tensor = criterion(self.network(images[:, None]), labels[:, None])
            return value

        optimizer = torch.optim.Adam(self.network.parameters(), lr=config.learning_rate)
        validated = len(data.validation) and data.validation.labelled
        best = train(
            self.network,
            _TissueBatches(data.target, config.batch_size, self.device, generator),
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

    def _missed(self, validation: ScanSet) -> float:
        """Return 1 minus the mean Dice coefficient of all tissues of labelled scans."""
        values = []
        for scans in validation.batches():
            predicted, true = self(scans).predicted.cpu(), scans.labels
            assert true is not None
            for value in TISSUES.values():
                one, other = predicted == value, true == value
                if other.any():
                    values.append(2 * float((one & other).sum()) / float(one.sum() + other.sum()))
        return 1 - sum(values) / len(values) if values else float("nan")

    def _parts(self, scans: Scans) -> Iterator[Tensor]:
        """Return the class scores of some slices at a time: `(B, 4, H, W)`."""
        slices = scans.images.reshape(-1, 1, *scans.images.shape[2:])
        for part in torch.split(slices, self.config.slices_at_once):
            yield self.network(part.to(self.device))

    @torch.no_grad()
    def probabilities(self, scans: Scans) -> Tensor:
        """Return the probability of each of the `TISSUES`: `(N, 3, S, H, W)`, 0 outside the brain.

        Parameters
        ----------
        scans
            Images `(N, S, H, W)` in [0, 1], on any device.
        """
        N, S, H, W = scans.images.shape
        parts = [part.softmax(dim=1)[:, 1:].to(scans.images.device) for part in self._parts(scans)]
        tissues = torch.cat(parts).view(N, S, len(TISSUES), H, W).transpose(1, 2)
        return tissues * scans.masks[:, None]

    @torch.no_grad()
    def forward(self, scans: Scans) -> Scans:
        """Find the tissues of N scans.

        Parameters
        ----------
        scans
            Images `(N, S, H, W)` in [0, 1], on any device.

        Returns
        -------
        Scans
            With `predicted`, `(N, S, H, W)` uint8 on the device of the images: the values of
            `TISSUES`, and 0 elsewhere.
        """
        predicted = [part.argmax(dim=1) for part in self._parts(scans)]
        labels = torch.cat(predicted).to(scans.images.device, torch.uint8)
        return replace(scans, predicted=labels.view(scans.images.shape) * scans.masks)
