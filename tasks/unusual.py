"""Unusual scans, which no training scan resembles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from harmbench import (
    Cohort,
    Family,
    ScanSet,
    Scorer,
    ScoringContext,
    Task,
    TaskData,
    ValueRange,
    derive,
)

from .faults import (
    Cavity,
    CutFieldOfView,
    Inverted,
    StrongNoise,
    cavity_of,
    draw_cavity,
    draw_motion,
)
from .harm import HARM_HEADLINE, TruthHarmScorer, diagnostics_of, measures_of, ranges_of
from .scan_changes import SliceChange
from .scans_with_truth import with_truth

VERSIONS = ("cavity", "noise", "motion", "cut", "contrast")


class Unusual(Task):
    """Harmonise unusual scans, or warn of them.

    Each source scan comes in five versions: with a cavity full of fluid, with strong noise, with
    motion, with a cut field of view, and with inverted contrast. The truth is the subject's
    target scan, with the same cavity or cut field of view. Harm is the loss of PSNR relative to
    the unusual source scan, in dB.

    Parameters
    ----------
    source
        Name of the source domain, or `SIMULATED`.
    """

    summary = "harmonise scans with a cavity, noise, motion, a cut stack or inversion"
    family = Family.SAFETY
    measures: ClassVar[Mapping[str, bool]] = {**measures_of(VERSIONS), "psnr_gain": True}
    ranges: ClassVar[Mapping[str, ValueRange]] = ranges_of(VERSIONS)
    diagnostics: ClassVar[Sequence[str]] = diagnostics_of(VERSIONS)
    uses_metrics = False
    headline = HARM_HEADLINE
    group = "unusual"

    def __init__(self, source: str) -> None:
        self.source = source
        self.name = f"unusual-{source}"

    def setup(self, cohort: Cohort, seed: int) -> TaskData:
        """Draw the five versions of each test scan.

        Raises
        ------
        SkipCell
            If the test scans have no truth.
        """
        scans = with_truth(cohort, self.source, seed, labelled=False)

        def cavity(of: ScanSet, number: int) -> Cavity:
            # Centre and radius are of the source scan, as those of its truth must be the same.
            return cavity_of(of, number, *draw_cavity(scans.source, number, seed))

        def of_source(of: ScanSet, number: int) -> list[SliceChange | None]:
            names = of.scans[number].subject, of.scans[number].session
            return [
                cavity(of, number),
                StrongNoise(derive(seed, "task", "unusual", "noise", *names)),
                draw_motion(of, number, seed),
                CutFieldOfView(of.grid),
                Inverted(),
            ]

        def of_truth(of: ScanSet, number: int) -> list[SliceChange | None]:
            return [cavity(of, number), None, None, CutFieldOfView(of.grid), None]

        return scans.changed(VERSIONS, of_source, of_truth)

    def scorer(self, context: ScoringContext) -> Scorer:
        """Return a scorer of the harm to each version."""
        return TruthHarmScorer(VERSIONS)
