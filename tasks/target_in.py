"""Target scans as input: a method must return them as they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import ClassVar

import numpy as np

from harmbench import (
    Cohort,
    Family,
    Scans,
    Scorer,
    ScoringContext,
    SkipCell,
    Task,
    TaskData,
    ValueRange,
)

from .domains import choose
from .harm import (
    HARM_DIAGNOSTICS,
    HARM_HEADLINE,
    HARM_MEASURES,
    HARM_RANGES,
    HarmScorer,
    loss_in_decibels,
    rmse,
)
from .repeats import scanned_twice

# RMSE that is allowed where no subject was scanned twice: 28 dB, the difference of two scans of one
# subject in studies with repeats.
USUAL_DIFFERENCE = 0.04


class TargetInScorer(HarmScorer):
    """Harm is a change beyond the difference of two scans of one subject on the target scanner.

    Parameters
    ----------
    allowed
        The root mean squared difference that is no harm.
    """

    def __init__(self, allowed: float) -> None:
        super().__init__()
        self._allowed = allowed

    def add(self, source: Scans, harmonized: Scans, references: Scans | None) -> None:
        """Compare a batch with its input."""
        change = rmse(harmonized.images, source.images, harmonized.masks)
        harm = loss_in_decibels(change, np.full_like(change, self._allowed))
        self.keep(harmonized, harm, {"change": change})


class TargetIn(Task):
    """Return a scan of the target scanner unchanged.

    `change` is the root mean squared difference between output and input inside the brain. Harm
    is the change beyond the difference of two scans of one subject on the target scanner, in dB:
    its mean over the subjects with a repeat. Methods that need source scans are fitted as for the
    first source domain that has them.
    """

    name = "target-in"
    summary = "return scans of the target scanner unchanged"
    family = Family.SAFETY
    measures: ClassVar[Mapping[str, bool]] = {**HARM_MEASURES, "change": False}
    ranges: ClassVar[Mapping[str, ValueRange]] = {**HARM_RANGES, "change": ValueRange(0.0, 1.0)}
    diagnostics: ClassVar[Sequence[str]] = HARM_DIAGNOSTICS
    uses_metrics = False
    headline = HARM_HEADLINE

    def setup(self, cohort: Cohort, seed: int) -> TaskData:
        """Choose the target's test scans; nothing is random.

        Raises
        ------
        SkipCell
            If there are none, or no source has scans to fit on.
        """
        test = cohort.scans(cohort.target, "test")
        if not len(test):
            raise SkipCell(f"the target domain '{cohort.target}' has no test scans")
        data = self._fit_data(cohort)
        twice = scanned_twice(cohort)
        extra = {} if twice is None else {"first": twice[0], "second": twice[1]}
        return replace(
            data,
            test=test,
            references=None,
            no_references="the scan that a method receives is the truth itself",
            repeats=None,
            no_repeats="the scan itself is the truth, which no rescan is",
            sites=None,
            test_site=cohort.target,
            extra=extra,
            parameters={
                "fitted as for": data.parameters["source"],
                "repeated subjects": 0 if twice is None else len(twice[0]),
            },
        )

    def _fit_data(self, cohort: Cohort) -> TaskData:
        reasons = []
        for source in cohort.sources:
            try:
                return choose(cohort, source)
            except SkipCell as error:
                reasons.append(str(error))
        raise SkipCell(reasons[0] if reasons else f"cohort '{cohort.name}' has no source domain")

    def scorer(self, context: ScoringContext) -> Scorer:
        """Return a scorer that knows the difference of two scans."""
        extra = context.data.extra
        if "first" not in extra:
            return TargetInScorer(USUAL_DIFFERENCE)
        pairs = zip(extra["first"].batches(), extra["second"].batches(), strict=True)
        differences = [
            float(rmse(one.images, other.images, one.masks & other.masks)[0])
            for one, other in pairs
        ]
        return TargetInScorer(float(np.mean(differences)))
