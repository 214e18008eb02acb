"""Methods that misbehave, each in one way."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import torch

from harmbench import Method, Needs, Phase, SliceBatches, hookimpl, torch_generator, train


class Fails(Method):
    name = "fails"
    summary = "raises"
    needs = Needs.NOTHING

    def forward(self, scans):
        raise RuntimeError("this method always fails")


class Diverges(Method):
    name = "diverges"
    summary = "returns not-a-number"
    needs = Needs.NOTHING

    def forward(self, scans):
        return scans.with_images(scans.images * float("nan"))


class OutOfRange(Method):
    name = "out-of-range"
    summary = "returns intensities above one"
    needs = Needs.NOTHING

    def forward(self, scans):
        return scans.with_images(scans.images * 2)


class WrongShape(Method):
    name = "wrong-shape"
    summary = "drops a slice"
    needs = Needs.NOTHING

    def forward(self, scans):
        return scans.with_images(scans.images[:, 1:])


class Peeks(Method):
    name = "peeks"
    summary = "says it is blind, and asks for the source"
    needs = Needs.TARGET

    def fit(self, data, progress):
        data.source.load([0])

    def forward(self, scans):
        return scans


class Dies(Method):
    name = "dies"
    summary = "is killed by the system, as by one that has no memory left"
    needs = Needs.NOTHING

    def forward(self, scans):
        os.kill(os.getpid(), signal.SIGKILL)


class Hangs(Method):
    name = "hangs"
    summary = "waits as long as a file is there, and says in it that it does"
    needs = Needs.NOTHING

    def forward(self, scans):
        wait = Path(os.environ["HANGS_WHILE"])
        while wait.exists():
            wait.write_text("hanging")
            time.sleep(0.1)
        return scans


class Counts(Method):
    """Says into a file whenever it is fitted, and keeps the target's mean."""

    name = "counts"
    summary = "counts its fits"
    needs = Needs.TARGET

    def __init__(self, grid, config=None):
        super().__init__(grid, config)
        self.register_buffer("mean", torch.zeros(()))

    def fit(self, data, progress):
        self.mean.fill_(float(data.target.load([0]).images.mean()))
        with Path(os.environ["COUNTS_LOG"]).open("a") as stream:
            stream.write(f"seed {data.seed}\n")

    def forward(self, scans):
        images = (scans.images * 0.5 + self.mean * 0.5).clamp(0, 1)
        return scans.with_images(images * scans.masks)


class Unpaired(Method):
    name = "unpaired"
    summary = "takes the source's mean away and puts the target's in its place"
    needs = Needs.UNPAIRED

    def __init__(self, grid, config=None):
        super().__init__(grid, config)
        self.register_buffer("shift", torch.zeros(()))

    def fit(self, data, progress):
        places = [0]
        target, source = data.target.load(places), data.source.load(places)
        self.shift.fill_(float(target.images.mean() - source.images.mean()))

    def forward(self, scans):
        return scans.with_images((scans.images + self.shift).clamp(0, 1) * scans.masks)


class Paired(Unpaired):
    name = "paired"
    summary = "the same, of pairs"
    needs = Needs.PAIRED

    def fit(self, data, progress):
        source, target = (side.load([0]) for side in data.pairs)
        assert source.subjects == target.subjects
        self.shift.fill_(float((target.images - source.images).mean()))


class Learns(Method):
    """A gain and an offset, fitted by the harness's training loop to noisy slices."""

    name = "learns"
    summary = "trains, with dropout"
    needs = Needs.TARGET
    rate = 0.05

    def __init__(self, grid, config=None):
        super().__init__(grid, config)
        self.curve = torch.nn.Conv2d(1, 1, 1)

    def fit(self, data, progress):
        batches = SliceBatches(
            data.target,
            size=4,
            device=self.device,
            generator=torch_generator(data.seed, self.name, "batches"),
        )

        def loss(x):
            noisy = torch.nn.functional.dropout(x, 0.2)
            return (self.curve(noisy[:, None])[:, 0] - x).square().mean()

        optimizer = torch.optim.Adam(self.parameters(), lr=self.rate)
        train(
            self, batches, Phase(loss=loss, optimizer=optimizer), progress, name=self.name, steps=30
        )

    def forward(self, scans):
        N, S, H, W = scans.images.shape
        images = self.curve(scans.images.view(N * S, 1, H, W)).view(N, S, H, W)
        return scans.with_images(images.clamp(0, 1) * scans.masks)


class RunsAway(Learns):
    name = "runs-away"
    summary = "trains far too fast"
    rate = 1e30


@hookimpl
def register_methods():
    result = (
        Fails,
        Diverges,
        OutOfRange,
        WrongShape,
        Peeks,
        Dies,
        Hangs,
        Counts,
        Unpaired,
        Paired,
        Learns,
        RunsAway,
    )
    return {method.name: method for method in result}
