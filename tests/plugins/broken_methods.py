"""Methods that break the contract, each in the one way that its `fails` names."""

from __future__ import annotations

import dataclasses
import random
import time
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch

from harmbench import (
    Method,
    Needs,
    Phase,
    SliceBatches,
    StackMethod,
    hookimpl,
    torch_generator,
    train,
)


class Sound(Method):
    """Breaks nothing: moves every scan halfway towards the target's mean."""

    name = "sound"
    summary = "moves scans halfway towards the target's mean"
    needs = Needs.TARGET
    fails: ClassVar[str | None] = None

    def __init__(self, grid, config=None):
        super().__init__(grid, config)
        self.register_buffer("mean", torch.zeros(()))

    def fit(self, data, progress):
        scans = [
            scan.images[scan.masks].mean() for scan in progress.track(data.target.batches(), "")
        ]
        self.mean.copy_(torch.stack(scans).mean())

    def forward(self, scans):
        moved = torch.lerp(scans.images, self.mean, 0.5)
        return scans.with_images(torch.where(scans.masks, moved, scans.images))


@dataclass(frozen=True)
class Other:
    number: int = 1


class WrongPreset(Sound):
    fails = "presets"
    presets: ClassVar = {"paper": Other()}


@dataclass(frozen=True)
class Nested:
    inner: Other = dataclasses.field(default_factory=Other)


class NestedConfig(Sound):
    fails = "config"
    Config = Nested


class MisspeltAblation(Sound):
    fails = "config"
    Config = Other
    ablations: ClassVar = {"no number": {"nubmer": 0}}


class CannotBeFitted(Sound):
    fails = "fit"

    def fit(self, data, progress):
        raise RuntimeError("no way")


class AsksForTheSource(Sound):
    fails = "needs"

    def fit(self, data, progress):
        self.mean.copy_(data.source.load([0]).images.mean())


class ReadsTheSourceFromTheDisk(Sound):
    fails = "needs"

    def fit(self, data, progress):
        cohort = data.target._files[0].images.parents[2]
        scans = [np.load(path) for path in (cohort / "domain1" / "images").iterdir()]
        self.mean.fill_(float(np.mean(scans)))


class AsksForLabels(Sound):
    fails = "needs"

    def fit(self, data, progress):
        labels = data.target.label_slices(torch.tensor([0]))
        self.mean.copy_(data.target.slices(torch.tensor([0]))[labels == 3].mean())


class AsksForAllSites(Sound):
    fails = "needs"

    def fit(self, data, progress):
        self.mean.copy_(data.sites["domain1"].load([0]).images.mean())


class AsksForTheAge(Sound):
    fails = "needs"
    needs = Needs.SITES
    covariates = ("sex",)

    def fit(self, data, progress):
        self.mean.fill_(float(data.target.covariates["age"].mean()))


class AsksForPairsOfSites(Sound):
    fails = "needs"
    needs = Needs.SITES

    def fit(self, data, progress):
        self.mean.copy_(data.pairs[0].load([0]).images.mean())


class ReadsTestScansOfAllSites(Sound):
    fails = "canary"
    needs = Needs.SITES

    def fit(self, data, progress):
        folder = data.sites["north"]._files[0].images.parent
        self.mean.fill_(float(np.mean([np.load(path) for path in sorted(folder.iterdir())])))


class IsNeverFitted(Sound):
    fails = "needs"
    needs = Needs.NOTHING


class Raises(Sound):
    fails = "harmonize"

    def forward(self, scans):
        raise RuntimeError("no way")


class DropsASlice(Sound):
    fails = "shape"

    def forward(self, scans):
        return scans.with_images(scans.images[:, 1:])


class ReturnsDoubles(Sound):
    fails = "shape"

    def forward(self, scans):
        return scans.with_images(super().forward(scans).images.double())


class ReturnsATensor(Sound):
    fails = "shape"

    def forward(self, scans):
        return scans.images.clone()


class TakesRoots(Sound):
    fails = "finite"

    def forward(self, scans):
        return scans.with_images((scans.images - 0.3 * scans.masks).sqrt())


class Doubles(Sound):
    fails = "range"

    def forward(self, scans):
        return scans.with_images(scans.images * 2)


class WritesIntoItsInput(Sound):
    fails = "input"

    def forward(self, scans):
        scans.images.mul_(0.9)
        return super().forward(scans)


class ShinesBeside(Sound):
    fails = "background"

    def forward(self, scans):
        return scans.with_images(torch.lerp(scans.images, self.mean, 0.5))


class DrawsUnseeded(Sound):
    fails = "deterministic"

    def fit(self, data, progress):
        self.mean.fill_(random.random())


class KeepsTheTime(Sound):
    """Its output is the same, but not its state."""

    fails = "deterministic"

    def __init__(self, grid, config=None):
        super().__init__(grid, config)
        self.register_buffer("when", torch.zeros((), dtype=torch.float64))

    def fit(self, data, progress):
        super().fit(data, progress)
        self.when.fill_(time.time())


class ReadsTestScansFromTheDisk(Sound):
    fails = "canary"

    def fit(self, data, progress):
        folder = data.target._files[0].images.parent
        self.mean.fill_(float(np.mean([np.load(path) for path in sorted(folder.iterdir())])))


class LooksAtItsNeighbour(Sound):
    fails = "batches"

    def forward(self, scans):
        moved = torch.lerp(scans.images, scans.images.mean(), 0.5)
        return scans.with_images(torch.where(scans.masks, moved, scans.images))


class ForgetsWhatItLearnt(Sound):
    fails = "store"

    def fit(self, data, progress):
        super().fit(data, progress)
        self.level = float(self.mean)

    def forward(self, scans):
        level = scans.images.new_tensor(getattr(self, "level", 0.0))
        moved = torch.lerp(scans.images, level, 0.5)
        return scans.with_images(torch.where(scans.masks, moved, scans.images))


class Trains(Sound):
    """Breaks nothing either, and keeps checkpoints; its loss draws from a generator."""

    kept = True

    def __init__(self, grid, config=None):
        super().__init__(grid, config)
        self.level = torch.nn.Parameter(torch.zeros(()))

    def fit(self, data, progress):
        generator = torch_generator(data.seed, "trains", "noise")
        batches = SliceBatches(
            data.target,
            size=4,
            device=self.device,
            generator=torch_generator(data.seed, "trains", "batches"),
        )

        def loss(x):
            drawn = x + torch.rand(x.shape, generator=generator)
            return (self.level - drawn).square().mean()

        train(
            self,
            batches,
            Phase(loss=loss, optimizer=torch.optim.Adam([self.level], lr=0.05)),
            progress,
            name="trains",
            steps=20,
            keep=[generator] if self.kept else [],
        )
        self.mean.copy_(self.level.detach().clamp(0, 1))


class ForgetsItsGenerator(Trains):
    fails = "resume"
    kept = False


class StartsAnew(Sound):
    fails = "resume"

    def fit(self, data, progress):
        for step in progress.track(range(10), "steps"):
            progress.save({"step": step})
        super().fit(data, progress)


class DividesByTheSpread(Sound):
    fails = "empty"

    def forward(self, scans):
        images = scans.images.clone()
        for image, mask in zip(images, scans.masks, strict=True):
            values = image[mask]
            image[mask] = ((values - values.mean()) / values.std() / 8 + self.mean).clamp(0, 1)
        return scans.with_images(images)


class EstimatesFromTheStack(StackMethod):
    name = "by-the-stack"
    summary = "moves scans halfway towards their own mean"
    needs = Needs.NOTHING
    fails = "stack"

    def forward_stack(self, scans, stack):
        means = stack.images.mean(dim=(1, 2, 3), keepdim=True)
        return self.moved(stack, means)

    @staticmethod
    def moved(stack, means):
        moved = torch.lerp(stack.images, means, 0.5)
        return stack.with_images(torch.where(stack.masks, moved, stack.images))


class ReturnsTheGridAlone(EstimatesFromTheStack):
    def forward_stack(self, scans, stack):
        return self.moved(scans, scans.images.mean(dim=(1, 2, 3), keepdim=True))


class NeedsTheGrid(EstimatesFromTheStack):
    def forward_stack(self, scans, stack):
        grey = torch.full(self.grid.shape, 0.5, device=stack.images.device)
        return self.moved(stack, grey)


class ShinesBesideTheGrid(EstimatesFromTheStack):
    def forward_stack(self, scans, stack):
        beyond = (stack.positions < scans.positions[0])[:, None, None]
        moved = self.moved(stack, scans.images.mean(dim=(1, 2, 3), keepdim=True)).images
        return stack.with_images(torch.where(beyond, moved + 0.1, moved))


class StaysOnTheCPU(Sound):
    fails = "gpu"

    def forward(self, scans):
        return scans.with_images(scans.images * torch.full(scans.images.shape[-1:], 0.5))


class Excused(Doubles):
    fails = None
    expected_failures: ClassVar = {"range": "to have one"}


class ExcusedInVain(Sound):
    fails = "range"
    expected_failures: ClassVar = {"range": "it was so once"}


BROKEN = (
    WrongPreset,
    NestedConfig,
    MisspeltAblation,
    CannotBeFitted,
    AsksForTheSource,
    ReadsTheSourceFromTheDisk,
    AsksForLabels,
    AsksForAllSites,
    AsksForTheAge,
    AsksForPairsOfSites,
    ReadsTestScansOfAllSites,
    IsNeverFitted,
    Raises,
    DropsASlice,
    ReturnsDoubles,
    ReturnsATensor,
    TakesRoots,
    Doubles,
    WritesIntoItsInput,
    ShinesBeside,
    DrawsUnseeded,
    KeepsTheTime,
    ReadsTestScansFromTheDisk,
    LooksAtItsNeighbour,
    ForgetsWhatItLearnt,
    ForgetsItsGenerator,
    StartsAnew,
    DividesByTheSpread,
    EstimatesFromTheStack,
    ReturnsTheGridAlone,
    NeedsTheGrid,
    ShinesBesideTheGrid,
    ExcusedInVain,
)


@hookimpl
def register_methods():
    return {"sound": Sound, "doubles": Doubles, "excused": Excused, "trains": Trains}
