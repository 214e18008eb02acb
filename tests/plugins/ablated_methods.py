"""A method that names its ablations, one with a paper's table, and some that are wrong."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch

from harmbench import Method, Needs, Published, UserError, at_inference, hookimpl


@dataclass(frozen=True)
class Config:
    power: float = at_inference(0.7)
    lift: float = 0.0

    def __post_init__(self):
        if self.lift > 1:
            raise UserError("curved.lift must be at most 1")


class Curved(Method):
    name = "curved"
    summary = "takes a power, and adds what it learnt to add"
    needs = Needs.TARGET
    Config = Config
    ablations: ClassVar = {"power = 1": {"power": 1}, "lift = 0.1": {"lift": 0.1}}
    published = Published(
        source="A paper, Table 9",
        data="other brains",
        values={
            "psnr_slices": {
                "Baseline": {"sim-gamma1.5": 30.2, "sim-log": 29.0},
                "power = 1": {"sim-gamma1.5": 20.1},
            }
        },
    )

    def __init__(self, grid, config=None):
        super().__init__(grid, config)
        self.register_buffer("lift", torch.zeros(()))

    def fit(self, data, progress):
        self.lift.fill_(self.config.lift)
        if "CURVED_LOG" in os.environ:
            with Path(os.environ["CURVED_LOG"]).open("a") as stream:
                stream.write(f"lift {self.config.lift}\n")

    def forward(self, scans):
        images = scans.images**self.config.power + self.lift * scans.masks
        return scans.with_images(images.clamp(0, 1))


class Misspelt(Curved):
    name = "misspelt"
    ablations: ClassVar = {"no power": {"powr": 1.0}}


class Mistyped(Curved):
    name = "mistyped"
    ablations: ClassVar = {"no power": {"power": "one"}}


class Bare(Curved):
    name = "bare"
    published = None


class Breaks(Curved):
    name = "breaks"
    ablations: ClassVar = {"power = 1": {"power": 1.0}, "power < 0": {"power": -1.0}}

    def forward(self, scans):
        if self.config.power < 0:
            raise RuntimeError("no power below zero")
        return super().forward(scans)


class Unfit(Curved):
    name = "unfit"

    def __init__(self, grid, config=None):
        raise UserError(f"unfit has no way with {grid.shape[1]} rows")


@hookimpl
def register_methods():
    return {kind.name: kind for kind in (Curved, Misspelt, Mistyped, Bare, Breaks, Unfit)}
