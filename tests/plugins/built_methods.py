"""Methods that are built on another one, which is a method of its own."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

import torch

from harmbench import Method, Needs, at_inference, hookimpl


@dataclass(frozen=True)
class BaseConfig:
    offset: float = 0.0
    strength: float = at_inference(0.5)


class Base(Method):
    """Says into a file whenever it is fitted, takes its time, and keeps the target's mean."""

    name = "base"
    summary = "moves towards the target's mean"
    needs = Needs.TARGET
    Config = BaseConfig

    def __init__(self, grid, config=None):
        super().__init__(grid, config)
        self.register_buffer("mean", torch.zeros(()))

    def fit(self, data, progress):
        with Path(os.environ["COUNTS_LOG"]).open("a") as stream:
            stream.write(f"{self.name}\n")
        time.sleep(0.2)
        self.mean.fill_(float(data.target.load([0]).images.mean()) + self.config.offset)
        progress.curve(1, level=float(self.mean))

    def forward(self, scans):
        images = torch.lerp(scans.images, self.mean, self.config.strength).clamp(0, 1)
        return scans.with_images(torch.where(scans.masks, images, scans.images))


class Bursts(Base):
    name = "bursts"
    summary = "ends with not-a-number"

    def fit(self, data, progress):
        super().fit(data, progress)
        self.mean.fill_(float("nan"))


class SeesTheSource(Base):
    name = "sees-the-source"
    summary = "takes the mean of the source"
    needs = Needs.UNPAIRED

    def fit(self, data, progress):
        self.mean.fill_(float(data.source.load([0]).images.mean()))


@dataclass(frozen=True)
class BuiltConfig:
    offset: float = 0.0
    power: float = 1.0
    strength: float = at_inference(0.5)


class Built(Method):
    """Squares the mean that its base learned, when it is fitted itself."""

    name = "built"
    summary = "is built on `base`"
    needs = Needs.TARGET
    Config = BuiltConfig
    part = Base

    def __init__(self, grid, config=None):
        super().__init__(grid, config)
        part, settings = self.parts(self.config)["below"]
        self.below = part(grid, settings)
        self.register_buffer("square", torch.zeros(()))

    @classmethod
    def parts(cls, config):
        return {"below": (cls.part, BaseConfig(config.offset, config.strength))}

    def fit(self, data, progress):
        self.square.copy_(self.below.mean**2)
        progress.curve(1, level=float(self.square))

    def forward(self, scans):
        return self.below(scans)


class AlsoBuilt(Built):
    name = "also-built"
    summary = "is built on `base`, too"


class BuiltTwice(Built):
    name = "built-twice"
    summary = "is built on `built`"
    part = Built

    @classmethod
    def parts(cls, config):
        return {"below": (cls.part, config)}

    def fit(self, data, progress):
        self.square.copy_(self.below.square**2)


class BuiltOnBursts(Built):
    name = "built-on-bursts"
    summary = "is built on what diverges"
    part = Bursts


class PeeksBelow(Built):
    name = "peeks-below"
    summary = "says it is blind, and is built on what is not"
    part = SeesTheSource


class NotBlind(PeeksBelow):
    name = "not-blind"
    summary = "says that it is not"
    needs = Needs.UNPAIRED


@hookimpl
def register_methods():
    result = (Base, Built, AlsoBuilt, BuiltTwice, BuiltOnBursts, PeeksBelow, NotBlind)
    return {method.name: method for method in result}
