"""A classifier that is trained to tell the scans of two scanners apart."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from harmbench import digest, seeded, torch_generator

SLICES = 16  # of a scan, evenly over the stack
SOURCE, TARGET = 0, 1


@dataclass(frozen=True)
class ClassifierConfig:
    """How the classifier of each fold is trained.

    Training has converged when the loss is small, or no longer falls: a probe that stops early
    finds less than is left of the scanner.

    Attributes
    ----------
    folds
        The largest number of folds of the subjects.
    seeds
        Number of trainings of a fold, each with other weights and batches.
    most_steps
        Training ends here in any case, not converged.
    window
        Steps over which the loss is averaged; also of a cosine that takes the learning rate to
        zero in the end.
    small_loss
        Mean cross-entropy below which training has converged.
    least_fall
        Converged if the mean falls by a smaller share from one window to the next but one.
    partitions
        Partitions into folds, over which the accuracy of the linear probe is averaged.
    permutations
        Of the null of the linear probe.
    batch_size
        Slices of a step, half of each scanner; even.
    learning_rate
        Learning rate of AdamW.
    """

    folds: int = 5
    seeds: int = 3
    most_steps: int = 4000
    window: int = 100
    small_loss: float = 0.02
    least_fall: float = 0.05
    partitions: int = 3
    permutations: int = 100
    batch_size: int = 32
    learning_rate: float = 2e-3


PRESETS = {
    "tiny": ClassifierConfig(seeds=2, most_steps=6, window=2, partitions=2, permutations=4),
    "quick": ClassifierConfig(folds=3, most_steps=300, window=25, small_loss=0.1),
}


class Classifier(nn.Sequential):
    """Three strided convolutions, the mean over the slice, and a line: `(B, 1, H, W)` to `(B, 2)`.

    A convolution sees noise, blur and edges, and the mean over the slice contrast.
    """

    def __init__(self) -> None:
        layers: list[nn.Module] = []
        for channels, width in ((1, 16), (16, 32), (32, 64)):
            layers += [nn.Conv2d(channels, width, 3, stride=2, padding=1, bias=False)]
            layers += [nn.BatchNorm2d(width), nn.ReLU()]
        super().__init__(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 2))


@dataclass(frozen=True)
class Example:
    """A scan to classify.

    Attributes
    ----------
    subject, session
        Subject and session of the scan.
    side
        `SOURCE` or `TARGET`.
    row
        Row in the stack of its side.
    """

    subject: str
    session: str
    side: int
    row: int


def folds(examples: Sequence[Example], most: int, partition: int = 0) -> dict[str, int]:
    """Assign each subject to one of at most `most` folds, in one of several partitions.

    The rest of every fold has scans of both sides, if possible.
    Subjects are assigned to the folds in turn, those with scans of both sides first, then
    those of either, each kind in the order of a hash of their names.
    """
    sides: dict[str, set[int]] = {}
    for example in examples:
        sides.setdefault(example.subject, set()).add(example.side)
    purpose = f"fold {partition}" if partition else "fold"
    order = sorted(sides, key=lambda p: (-len(sides[p]), min(sides[p]), digest(purpose, p)))
    count = min(most, len(order))
    return {subject: i % count for i, subject in enumerate(order)}


class Stacks:
    """Slices of scans, kept in a file: memory does not grow with them.

    Parameters
    ----------
    n_scans
        Capacity, in slices.
    shape
        `(S, H, W)` of a scan.
    """

    def __init__(self, n_scans: int, shape: tuple[int, int, int]) -> None:
        S, H, W = shape
        self._chosen = np.unique(np.linspace(0.05 * S, 0.95 * S - 1, SLICES).round().astype(int))
        size = (max(1, n_scans), len(self._chosen), H, W)
        with tempfile.TemporaryFile() as file:  # it has no name, and goes with the map
            self._array = np.memmap(file, np.float16, "w+", shape=size)
        self._length = 0

    @property
    def slices_per_scan(self) -> int:
        """How many slices of a scan are kept."""
        return len(self._chosen)

    def add(self, images: Tensor) -> None:
        """Keep slices of N scans `(N, S, H, W)` in [0, 1]."""
        end = self._length + len(images)
        self._array[self._length : end] = images[:, self._chosen].numpy()
        self._length = end

    def read(self, row: int, index: int) -> Tensor:
        """Return a slice `(H, W)`, float32."""
        return torch.from_numpy(self._array[row, index].astype(np.float32))

    def scan(self, row: int) -> Tensor:
        """Return the slices of a scan `(K, H, W)`, float32."""
        return torch.from_numpy(self._array[row].astype(np.float32))


@dataclass(frozen=True)
class Probed:
    """What the classifiers of one seed found.

    Attributes
    ----------
    shares
        Share of each scan's slices that were classified correctly; NaN where none could be
        trained.
    converged
        Whether each training converged.
    """

    shares: list[float]
    converged: list[bool]


def probe(
    examples: Sequence[Example],
    stacks: Mapping[int, Stacks],
    *,
    seed: int,
    config: ClassifierConfig,
    device: torch.device,
) -> Probed:
    """Return the cross-validated slice accuracy of each scan.

    For each fold of subjects a fresh classifier is trained on the scans of all other subjects,
    as many slices of the source as of the target, and then applied to the fold's scans.
    """
    fold = folds(examples, config.folds)
    probed = Probed([float("nan")] * len(examples), [])
    for number in sorted(set(fold.values())):
        training = [e for e in examples if fold[e.subject] != number]
        sides = [[e for e in training if e.side == side] for side in (SOURCE, TARGET)]
        if not all(sides):
            continue
        classifier, converged = _trained(
            sides, stacks, seed=seed, number=number, config=config, device=device
        )
        probed.converged.append(converged)
        for i, example in enumerate(examples):
            if fold[example.subject] == number:
                slices = stacks[example.side].scan(example.row)
                with torch.no_grad():
                    predicted = classifier(slices[:, None].to(device)).argmax(dim=1)
                probed.shares[i] = float((predicted == example.side).double().mean())
    return probed


def _trained(
    sides: Sequence[Sequence[Example]],
    stacks: Mapping[int, Stacks],
    *,
    seed: int,
    number: int,
    config: ClassifierConfig,
    device: torch.device,
) -> tuple[Classifier, bool]:
    """Train a classifier until it has converged, then anneal it; return whether it has."""
    with seeded(seed, "classify-site", "weights", number):
        classifier = Classifier().to(device)
    generator = torch_generator(seed, "classify-site", "batches", number)
    optimizer = torch.optim.AdamW(classifier.parameters(), lr=config.learning_rate)

    def draw(count: int) -> int:
        return int(torch.randint(count, (), generator=generator))

    answers = [SOURCE, TARGET] * (config.batch_size // 2)

    def step() -> float:
        chosen = [sides[side][draw(len(sides[side]))] for side in answers]
        slices = [
            stacks[example.side].read(example.row, draw(stacks[example.side].slices_per_scan))
            for example in chosen
        ]
        loss = nn.functional.cross_entropy(
            classifier(torch.stack(slices)[:, None].to(device)),
            torch.tensor(answers, device=device),
        )
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        return float(loss.detach())

    losses: list[float] = []
    while len(losses) < config.most_steps and not has_converged(losses, config):
        losses.append(step())
    # Averages of the batch normalisation are noisy at the full learning rate.
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, config.window)
    for _ in range(config.window):
        step()
        schedule.step()
    return classifier.eval(), has_converged(losses, config)


def has_converged(losses: Sequence[float], config: ClassifierConfig) -> bool:
    """Return whether training has converged, given the losses of all steps.

    Examples
    --------
    >>> config = ClassifierConfig(window=2, least_fall=0.05)
    >>> has_converged([0.7, 0.6, 0.5, 0.4, 0.3, 0.2], config)
    False
    >>> has_converged([0.7, 0.6, 0.5, 0.4, 0.65, 0.6], config)
    True
    """
    width = config.window
    if len(losses) < width or len(losses) % width:
        return False
    means = np.array(losses).reshape(-1, width).mean(axis=1)
    if means[-1] < config.small_loss:
        return True
    return len(means) > 2 and bool(means[-1] > (1 - config.least_fall) * means[-3])
