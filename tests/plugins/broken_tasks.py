"""Tasks that break the contract, each in the one way that its `fails` names."""

from __future__ import annotations

import dataclasses
import functools
import random
from typing import ClassVar

import numpy as np
import pandas as pd

from harmbench import BatchScorer, SkipCell, Task, TaskData, disjoint_subjects, hookimpl


@functools.cache
def sound_data(cohort):
    """Select data of a cohort; once for all samples, which are set up a hundred times."""
    pairs = cohort.pairs("domain1", "test")
    if pairs is None:
        raise SkipCell("there are no pairs")
    source, target = disjoint_subjects(
        cohort.scans("domain1", "train"), cohort.scans(cohort.target, "train")
    )
    return TaskData(
        target=target,
        validation=cohort.scans(cohort.target, "validation"),
        test=pairs[0],
        references=pairs[1],
        source=source,
        pairs=cohort.pairs("domain1", "train"),
        parameters={"source": "domain1"},
    )


class Sound(Task):
    """Breaks nothing: the paired scans of domain1, and their mean error."""

    name = "sound-task"
    summary = "how far scans are from their truth"
    measures: ClassVar = {"error": False}
    headline = ("error",)
    fails: ClassVar[str | None] = None

    def setup(self, cohort, seed):
        return sound_data(cohort)

    def score(self, harmonized, references, data, metrics):
        error = (harmonized.images - references.images).abs().mean(dim=(1, 2, 3))
        return self.scores(harmonized, error.double().numpy())

    def scores(self, harmonized, values, metric="error"):
        return pd.DataFrame(
            {
                "subject": harmonized.subjects,
                "scan": harmonized.sessions,
                "slice": -1,
                "metric": metric,
                "value": values,
            }
        )


class CannotBeSetUp(Sound):
    fails = "setup"

    def setup(self, cohort, seed):
        raise KeyError("domain7")


class RefusesWithoutAReason(Sound):
    fails = "setup"

    def setup(self, cohort, seed):
        raise SkipCell("")


class HasNobodyToTest(Sound):
    fails = "setup"

    def setup(self, cohort, seed):
        data = super().setup(cohort, seed)
        return dataclasses.replace(data, test=data.test.subset([]), references=None)


class TakesPairsForGranted(Sound):
    fails = "refusal"

    def setup(self, cohort, seed):
        assert cohort.pairs("domain1", "test") is not None
        return super().setup(cohort, seed)


class RefusesThePoorWithoutAReason(Sound):
    fails = "refusal"

    def setup(self, cohort, seed):
        if cohort.pairs("domain1", "test") is None:
            raise SkipCell
        return super().setup(cohort, seed)


class DrawsUnseeded(Sound):
    fails = "deterministic"

    def setup(self, cohort, seed):
        data = super().setup(cohort, seed)
        return dataclasses.replace(data, parameters={"drawn": random.random()})


class Flickers:
    digest = "flickers"

    def __call__(self, images, masks, scan, index):
        return images * random.random()


class ChangesWhenRead(Sound):
    fails = "deterministic"

    def setup(self, cohort, seed):
        data = super().setup(cohort, seed)
        return dataclasses.replace(data, source=data.source.with_transform(Flickers()))


class DrawsNoJSON(Sound):
    fails = "parameters"

    def setup(self, cohort, seed):
        data = super().setup(cohort, seed)
        return dataclasses.replace(data, parameters={"gain": np.float32(0.5)})


class FitsOnTheTested(Sound):
    fails = "subjects"

    def setup(self, cohort, seed):
        data = super().setup(cohort, seed)
        source, target = disjoint_subjects(cohort.scans("domain1"), data.target)
        return dataclasses.replace(data, source=source, target=target)


class SharesSubjects(Sound):
    fails = "disjoint"

    def setup(self, cohort, seed):
        data = super().setup(cohort, seed)
        return dataclasses.replace(data, source=cohort.scans("domain1", "train"))


class SharesSubjectsOfSites(Sound):
    fails = "disjoint"

    def setup(self, cohort, seed):
        data = super().setup(cohort, seed)
        names = (cohort.target, *cohort.sources)
        sites = {name: cohort.scans(name, "train") for name in names}
        return dataclasses.replace(data, sites=sites)


class MixesUpItsReferences(Sound):
    fails = "references"

    def setup(self, cohort, seed):
        data = super().setup(cohort, seed)
        return dataclasses.replace(data, references=data.references.subset([1, 0]))


class RepeatsItsReferences(Sound):
    fails = "repeats"

    def setup(self, cohort, seed):
        data = super().setup(cohort, seed)
        return dataclasses.replace(data, repeats=data.references)


class FitsOnTheTruthUnderOtherNames(Sound):
    fails = "withheld"

    def setup(self, cohort, seed):
        data = super().setup(cohort, seed)
        target = cohort.scans(cohort.target)
        renamed = tuple(
            dataclasses.replace(scan, subject=f"a{i}") for i, scan in enumerate(target.scans)
        )
        return dataclasses.replace(data, target=dataclasses.replace(target, scans=renamed))


class CannotScore(Sound):
    fails = "score"

    def score(self, harmonized, references, data, metrics):
        raise RuntimeError("no way")


class HasNoSlices(Sound):
    fails = "table"

    def score(self, *arguments):
        return super().score(*arguments).drop(columns="slice")


class LosesSomebody(Sound):
    fails = "table"

    def score(self, *arguments):
        table = super().score(*arguments)
        return table[table["subject"] != "p0"]


class CountsSlicesFromOne(Sound):
    fails = "table"

    def score(self, *arguments):
        return super().score(*arguments).assign(slice=6)


class KnowsNothing(Sound):
    fails = "values"

    def score(self, *arguments):
        return super().score(*arguments).assign(value=float("nan"))


class WritesNumbersAsText(Sound):
    fails = "values"

    def score(self, *arguments):
        table = super().score(*arguments)
        return table.assign(value=table["value"].map(str))


class HidesItsDirection(Sound):
    fails = "measures"
    measures: ClassVar = {}


class HasAnotherHeadline(Sound):
    fails = "headline"
    headline = ("psnr",)


class RanksByADiagnostic(Sound):
    fails = "headline"
    headline = ("error", "wasserstein")


class WritesIntoItsInput(Sound):
    fails = "input"

    def score(self, harmonized, references, data, metrics):
        table = super().score(harmonized, references, data, metrics)
        harmonized.images.mul_(0.5)
        return table


class ComparesWithinABatch(Sound):
    fails = "batches"

    def score(self, harmonized, references, data, metrics):
        far = (harmonized.images - references.images.mean(dim=0)).abs().mean(dim=(1, 2, 3))
        return self.scores(harmonized, far.double().numpy())


class PraisesErrors(Sound):
    fails = "order"
    measures: ClassVar = {"error": True}


class CannotBeDrawn(Sound):
    fails = "cell"

    def scorer(self, context):
        class Drawing(BatchScorer):
            def annotated(self, scans):
                raise RuntimeError("no way")

        return Drawing(lambda made, truth: self.score(made, truth, context.data, context.metrics))


class HasNoBounds(Sound):
    fails = "cell"

    def bounds(self, context):
        return {"source": {"error": 0.5}}


BROKEN = (
    CannotBeSetUp,
    RefusesWithoutAReason,
    HasNobodyToTest,
    TakesPairsForGranted,
    RefusesThePoorWithoutAReason,
    DrawsUnseeded,
    ChangesWhenRead,
    DrawsNoJSON,
    FitsOnTheTested,
    SharesSubjects,
    SharesSubjectsOfSites,
    MixesUpItsReferences,
    RepeatsItsReferences,
    FitsOnTheTruthUnderOtherNames,
    CannotScore,
    HasNoSlices,
    LosesSomebody,
    CountsSlicesFromOne,
    KnowsNothing,
    WritesNumbersAsText,
    HidesItsDirection,
    HasAnotherHeadline,
    RanksByADiagnostic,
    WritesIntoItsInput,
    ComparesWithinABatch,
    PraisesErrors,
    CannotBeDrawn,
    HasNoBounds,
)


@hookimpl
def register_tasks(sources):
    return {"sound-task": Sound, "praises-errors": PraisesErrors}
