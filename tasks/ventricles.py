"""Enlarged ventricles: from the subject's own to hydrocephalus."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from harmbench import (
    Cohort,
    Family,
    ScanSet,
    Scorer,
    ScoringContext,
    SkipCell,
    Task,
    TaskData,
    ValueRange,
)

from .deformation import LabelledScan
from .enlarged_ventricles import EnlargedVentricles, ventricles
from .harm import HARM_HEADLINE, TruthHarmScorer, diagnostics_of, measures_of, ranges_of
from .scan_changes import SliceChange
from .scans_with_truth import with_truth

# ml of the lateral ventricles within the stack; healthy adults have 10 to 50 ml.
VOLUMES = {"normal": 0.0, "enlarged": 70.0, "hydrocephalus": 140.0}


class Ventricles(Task):
    """Harmonise scans of subjects whose ventricles are enlarged.

    Each source scan comes in three versions, as it is and with ventricles that a deformation
    enlarges; the truth is the subject's target scan with the same deformation. Harm is the loss
    of PSNR relative to the source scan, in dB.

    Parameters
    ----------
    source
        Name of the source domain, or `SIMULATED`.
    """

    summary = "harmonise scans with ventricles from normal to hydrocephalus without harm"
    family = Family.SAFETY
    measures: ClassVar[Mapping[str, bool]] = {**measures_of([*VOLUMES]), "psnr_gain": True}
    ranges: ClassVar[Mapping[str, ValueRange]] = ranges_of([*VOLUMES])
    diagnostics: ClassVar[Sequence[str]] = diagnostics_of([*VOLUMES])
    uses_metrics = False
    headline = HARM_HEADLINE
    group = "ventricles"

    def __init__(self, source: str) -> None:
        self.source = source
        self.name = f"ventricles-{source}"

    def setup(self, cohort: Cohort, seed: int) -> TaskData:
        """Deform the test scans and their truth; nothing is random but a simulated scanner.

        Raises
        ------
        SkipCell
            If the test scans have no truth, or no labels with ventricles.
        """
        scans = with_truth(cohort, self.source, seed, labelled=True)
        labels = scans.source
        for number, scan in enumerate(labels.scans):
            values = labels.load([number]).labels
            if values is None or not ventricles(values[0].numpy(), labels.grid).any():
                raise SkipCell(f"the labels of '{scan.subject}' have no fluid in the ventricles")

        def enlarged(of: ScanSet, number: int) -> list[SliceChange | None]:
            return [
                EnlargedVentricles(LabelledScan(of, labels, number), volume) if volume else None
                for volume in VOLUMES.values()
            ]

        return scans.changed([*VOLUMES], enlarged, enlarged)

    def scorer(self, context: ScoringContext) -> Scorer:
        """Return a scorer of the harm at each level."""
        return TruthHarmScorer([*VOLUMES])
