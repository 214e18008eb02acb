"""A task that measures with an instrument, and one that cannot be asked."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pandas as pd
import torch

from harmbench import (
    Estimate,
    Instrument,
    Method,
    Needs,
    Scorer,
    SkipCell,
    Task,
    at_inference,
    estimates,
    hookimpl,
)
from harmbench_tasks.domains import choose


def say(text):
    with Path(os.environ["COUNTS_LOG"]).open("a") as stream:
        stream.write(f"{text}\n")


@dataclass(frozen=True)
class MeterConfig:
    factor: float = 1.0
    rounded: bool = at_inference(False)


class Meter(Instrument):
    """Learns how bright the target's innermost tissue is; says when, and what it may see."""

    name = "meter"
    summary = "compares brightness with the target's"
    Config = MeterConfig

    def __init__(self, grid, config=None):
        super().__init__(grid, config)
        self.register_buffer("level", torch.zeros(()))

    def fit(self, data, progress):
        say(f"meter, seed {data.seed}, {len(data.target)} subjects")
        assert data._source is None
        assert data._pairs is None
        scans = data.target.load([0])
        self.level.fill_(float(scans.images[scans.labels == 3].mean()) * self.config.factor)
        progress.curve(1, level=float(self.level))
        progress.fact("level", float(self.level))

    def forward(self, scans):
        return (scans.images.mean(dim=(1, 2, 3)) / self.level).tolist()


class MeterScorer(Scorer):
    def __init__(self, context):
        self.meter = context.instruments["brightness"]
        self.rows = []

    def add(self, source, harmonized, references):
        values = self.meter(harmonized)
        self.rows += zip(harmonized.subjects, harmonized.sessions, values, strict=True)

    def table(self):
        table = pd.DataFrame(self.rows, columns=["subject", "scan", "value"])
        return table.assign(slice=-1, metric="metered")

    def estimates(self, scores):
        return {**estimates(scores), "subjects": Estimate(len(scores), 0, 9, len(scores))}

    def annotated(self, scans):
        assert scans.images.shape[:2] == (1, 1)
        assert self.meter(scans)
        return scans.with_images(scans.images)


class Metered(Task):
    summary = "measures brightness with an instrument"
    instruments: ClassVar = {"brightness": Meter}
    measures: ClassVar = {"metered": False, "subjects": True}
    headline = ("metered",)
    uses_metrics = False

    def __init__(self):
        self.name = "metered"

    def setup(self, cohort, seed):
        return choose(cohort, "domain1")

    def scorer(self, context):
        return MeterScorer(context)

    def bounds(self, context):
        say("bounds")
        values = self.instruments and context.instruments["brightness"](context.data.test.load([0]))
        table = [("p0", "1", -1, "metered", 2.0), ("p1", "1", -1, "metered", float("inf"))]
        return {
            "source": {"metered": Estimate(values[0], float("nan"), float("inf"), 1)},
            "by subject": pd.DataFrame(
                table, columns=["subject", "scan", "slice", "metric", "value"]
            ),
        }


class Elsewhere(Metered):
    def __init__(self):
        self.name = "metered-elsewhere"

    def setup(self, cohort, seed):
        return choose(cohort, "elsewhere")


class Refuses(Metered):
    def __init__(self):
        self.name = "refuses"

    def setup(self, cohort, seed):
        raise SkipCell("nothing is labelled")


class Copies(Method):
    name = "copies"
    summary = "learns nothing to speak of, and says when"
    needs = Needs.TARGET

    def __init__(self, grid, config=None):
        super().__init__(grid, config)
        self.register_buffer("one", torch.ones(()))

    def fit(self, data, progress):
        say("copies")
        assert not data.target.labelled

    def forward(self, scans):
        return scans.with_images(scans.images * self.one)


@hookimpl
def register_tasks(sources):
    return {"metered": Metered, "metered-elsewhere": Elsewhere, "refuses": Refuses}


@hookimpl
def register_methods():
    return {"copies": Copies}
