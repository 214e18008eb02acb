"""Scanner classification: a classifier that separates harmonised scans from target scans."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch import Tensor, nn

from harmbench import (
    Cohort,
    Estimate,
    Family,
    Scans,
    Scorer,
    ScoringContext,
    SkipCell,
    Task,
    TaskData,
    bootstrap_draws,
    bootstrap_statistic,
    digest,
    seeded,
    torch_generator,
)

from .domains import choose

FOLDS = 5
SLICES = 16  # of a scan, evenly over the stack
SOURCE, TARGET = 0, 1

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class ClassifierConfig:
    """How the classifier of each fold is trained.

    Attributes
    ----------
    steps
        Training steps.
    batch_size
        Slices of a step, half of each scanner; even.
    learning_rate
        Initial learning rate of AdamW; a cosine takes it to zero.
    """

    steps: int = 1000
    batch_size: int = 32
    learning_rate: float = 2e-3


PRESETS = {
    "tiny": ClassifierConfig(steps=3),
    "quick": ClassifierConfig(steps=120),
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


def folds(examples: Sequence[Example]) -> dict[str, int]:
    """Assign each subject to a fold, so that every fold's rest has both sides if it can be.

    Subjects are assigned to the folds in turn, those with scans of both sides first, then
    those of either, each kind in the order of a hash of their names.
    """
    sides: dict[str, set[int]] = {}
    for example in examples:
        sides.setdefault(example.subject, set()).add(example.side)
    order = sorted(sides, key=lambda p: (-len(sides[p]), min(sides[p]), digest("fold", p)))
    count = min(FOLDS, len(order))
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


def site_accuracy(
    examples: Sequence[Example],
    stacks: Mapping[int, Stacks],
    *,
    seed: int,
    config: ClassifierConfig,
    device: torch.device,
) -> list[float]:
    """Return the cross-validated slice accuracy of each scan.

    For each fold of subjects a fresh classifier is trained on the scans of all other subjects,
    as many slices of the source as of the target, and then applied to the fold's scans.
    """
    fold = folds(examples)
    shares = [float("nan")] * len(examples)
    for number in sorted(set(fold.values())):
        training = [e for e in examples if fold[e.subject] != number]
        sides = [[e for e in training if e.side == side] for side in (SOURCE, TARGET)]
        if not all(sides):
            continue
        classifier = _trained(sides, stacks, seed=seed, number=number, config=config, device=device)
        for i, example in enumerate(examples):
            if fold[example.subject] == number:
                slices = stacks[example.side].scan(example.row)
                with torch.no_grad():
                    predicted = classifier(slices[:, None].to(device)).argmax(dim=1)
                shares[i] = float((predicted == example.side).double().mean())
    return shares


def _trained(
    sides: Sequence[Sequence[Example]],
    stacks: Mapping[int, Stacks],
    *,
    seed: int,
    number: int,
    config: ClassifierConfig,
    device: torch.device,
) -> Classifier:
    with seeded(seed, "classify-site", "weights", number):
        classifier = Classifier().to(device)
    generator = torch_generator(seed, "classify-site", "batches", number)
    optimizer = torch.optim.AdamW(classifier.parameters(), lr=config.learning_rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, config.steps)

    def draw(count: int) -> int:
        return int(torch.randint(count, (), generator=generator))

    answers = [SOURCE, TARGET] * (config.batch_size // 2)
    for _ in range(config.steps):
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
        schedule.step()
    return classifier.eval()


def balanced(subjects: Array) -> Array:
    """Average each side over its subjects, and then both sides.

    Parameters
    ----------
    subjects
        `(..., n, 2)`: accuracy of each subject's source and target scans, NaN where there is none.

    Returns
    -------
    Array
        `(...)`; NaN where a side has no subject.
    """
    present = ~np.isnan(subjects)
    with np.errstate(invalid="ignore"):
        sides = np.where(present, subjects, 0.0).sum(axis=-2) / present.sum(axis=-2)
    mean: Array = sides.mean(axis=-1)
    return mean


class SiteScorer(Scorer):
    """Keeps slices of the harmonised scans, and in the end trains classifiers on them.

    Parameters
    ----------
    context
        What the cell is scored with.
    """

    def __init__(self, context: ScoringContext) -> None:
        data = context.data
        self._context = context
        self._examples: list[Example] = []
        self._stacks = {
            SOURCE: Stacks(len(data.test), data.test.grid.shape),
            TARGET: Stacks(len(data.extra["target"]), data.test.grid.shape),
        }
        for batch in data.extra["target"].batches():
            self._keep(batch, TARGET)

    def _keep(self, scans: Scans, side: int) -> None:
        before = sum(example.side == side for example in self._examples)
        self._stacks[side].add(scans.images)
        self._examples += [
            Example(subject, session, side, before + i)
            for i, (subject, session) in enumerate(zip(scans.subjects, scans.sessions, strict=True))
        ]

    def add(self, source: Scans, harmonized: Scans, references: Scans | None) -> None:
        """Keep a batch."""
        self._keep(harmonized, SOURCE)

    def table(self) -> pd.DataFrame:
        """Return the share of each scan's slices that were classified correctly."""
        shares = site_accuracy(
            self._examples,
            self._stacks,
            seed=self._context.seed,
            config=PRESETS.get(self._context.preset, ClassifierConfig()),
            device=self._context.device,
        )
        sides = {SOURCE: "source", TARGET: "target"}
        return pd.DataFrame(
            {
                "subject": [example.subject for example in self._examples],
                "scan": [f"{sides[e.side]}/{e.session}" for e in self._examples],
                "slice": -1,
                "metric": "site_accuracy",
                "value": shares,
            }
        )

    def estimates(self, scores: pd.DataFrame) -> dict[str, Estimate]:
        """Return the balanced accuracy: the mean of both sides, whatever their numbers of scans."""
        return {"site_accuracy": bootstrap_statistic(_by_side(scores), balanced)}

    def draws(self, scores: pd.DataFrame) -> dict[str, Array]:
        """Return bootstrap draws of it, for paired comparisons of methods."""
        return {"site_accuracy": bootstrap_draws(_by_side(scores), balanced)}


def _by_side(scores: pd.DataFrame) -> Array:
    """Return the accuracy of each subject's source and target scans: `(n, 2)`."""
    side = scores["scan"].str.partition("/")[0]
    subjects = scores.groupby(["subject", side])["value"].mean().unstack()
    return subjects.reindex(columns=["source", "target"]).to_numpy(dtype=np.float64)


class ClassifySite(Task):
    """Tell harmonised source scans from scans of the target, of subjects not trained on.

    A fresh classifier is trained on each method's own output, cross-validated by subject. Its
    balanced accuracy over slices is 0.5 where no difference between the scanners is left that it
    could detect. Rescans of the target's own scanner may reach more than 0.5, so the accuracy is
    compared with that of the control `rescan`, and ranks nothing. Where the subjects of the two
    scanners differ, it may also distinguish the subjects, so the accuracy is then an upper bound
    of the remaining difference between the scanners.

    Parameters
    ----------
    source
        Name of the source domain.
    """

    summary = "tell harmonised scans from the target's by a classifier trained on them"
    family = Family.SCANNERS
    measures: ClassVar[Mapping[str, bool]] = {"site_accuracy": False}
    uses_metrics = False
    diagnostics = ("site_accuracy",)
    headline = ()

    def __init__(self, source: str) -> None:
        self.source = source
        self.name = f"classify-site-{source}"

    def setup(self, cohort: Cohort, seed: int) -> TaskData:
        """Choose test scans of either scanner; nothing is random.

        Raises
        ------
        SkipCell
            If either side has fewer than two subjects to test on.
        """
        data = choose(cohort, self.source)
        target = cohort.scans(cohort.target, "test")
        if data.references is not None:
            target = data.references
        for scans in (data.test, target):
            subjects = set(scans.subjects)
            if len(subjects) < 2:
                raise SkipCell(
                    f"'{scans.domain}' has {len(subjects)} test subjects; "
                    "cross-validation needs at least two"
                )
        return replace(data, extra={"target": target})

    def scorer(self, context: ScoringContext) -> Scorer:
        """Return a scorer that trains classifiers when all scans were taken."""
        return SiteScorer(context)

    def bounds(self, context: ScoringContext) -> Mapping[str, Mapping[str, Estimate]]:
        """Return the accuracy on the source as it is, and chance."""
        scorer = SiteScorer(context)
        for batch in context.data.test.batches():
            scorer.add(batch, batch, None)
        estimates = scorer.estimates(scorer.table())
        n = estimates["site_accuracy"].n
        return {
            "source as it is": estimates,
            "chance": {"site_accuracy": Estimate(0.5, 0.5, 0.5, n)},
        }
