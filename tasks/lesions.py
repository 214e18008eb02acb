"""Lesions: whether they are as visible and as large after harmonisation as before."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import ClassVar

import pandas as pd
from torch import Tensor

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

from .harm import HARM_DIAGNOSTICS, HARM_HEADLINE, HARM_MEASURES, HARM_RANGES, HarmScorer
from .painted_lesions import RADII, PaintedLesion, draw_lesions, measure, painted
from .scan_changes import Changes
from .scans_with_truth import scans_to_change

LOSS = 0.2  # share of a lesion's contrast: a smaller loss is no harm
SIZES = tuple(reversed(RADII))


class LesionScorer(HarmScorer):
    """Harm is the largest loss of contrast of a scan's lesions, as a share of that of the source.

    Parameters
    ----------
    context
        What the cell is scored with; the lesions are in the parameters of its data.
    """

    def __init__(self, context: ScoringContext) -> None:
        super().__init__(margin=LOSS, name="lesion_loss")
        self._lesions = context.data.parameters["lesions"]
        self._grid = context.data.test.grid

    def add(self, source: Scans, harmonized: Scans, references: Scans | None) -> None:
        """Measure the lesions of a batch before and after."""
        assert source.labels is not None
        scans = [
            self._measured(f"{subject}/{session}", before, after, labels)
            for subject, session, before, after, labels in zip(
                source.subjects,
                source.sessions,
                source.images,
                harmonized.images,
                source.labels,
                strict=True,
            )
        ]
        table = pd.DataFrame(scans)
        losses = table.filter(like="lesion_loss_").max(axis=1)
        more = {str(name): values.to_numpy(dtype=float) for name, values in table.items()}
        self.keep(harmonized, losses.to_numpy(dtype=float), more)

    def _measured(
        self, scan: str, before: Tensor, after: Tensor, labels: Tensor
    ) -> dict[str, float]:
        """Measure the lesions of one scan before and after, `(S, H, W)` each."""
        values: dict[str, float] = {}
        for size, centre in self._lesions[scan].items():
            lesion = PaintedLesion(size, tuple(centre))
            first, second = (
                measure(image, labels, lesion, self._grid) for image in (before, after)
            )
            # No contrast is left where white matter is as dark as grey matter, or darker.
            kept = second.contrast / first.contrast if math.isfinite(second.contrast) else 0.0
            values |= {
                f"lesion_loss_{size}": min(max(1 - kept, 0.0), 1.0),
                f"lesion_cnr_{size}": second.cnr,
                f"lesion_cnr_source_{size}": first.cnr,
            }
            if first.volume:
                change = 100 * abs(second.volume - first.volume) / first.volume
                values[f"lesion_size_change_{size}"] = change
        return values


class Lesions(Task):
    """Harmonise scans with white-matter lesions that are dark on T1.

    Each labelled source scan gets a lesion of 2.5, 4 and 6 mm radius, as dark as its own grey
    matter. The contrast of a lesion is the difference to the surrounding white matter, relative
    to the difference of white and grey matter of the same image. Harm is the largest share of
    the contrast that a lesion of the scan loses. No truth is needed: a lesion of the contrast of
    grey matter has it on every scanner.

    Parameters
    ----------
    source
        Name of the source domain, or `SIMULATED`.
    """

    summary = "harmonise scans with lesions of three sizes without filling them"
    family = Family.SAFETY
    measures: ClassVar[Mapping[str, bool]] = {
        "lesion_loss": False,
        **{name: higher for name, higher in HARM_MEASURES.items() if name != "harm"},
        **{
            f"{name}_{size}": higher
            for size in SIZES
            for name, higher in (
                ("lesion_loss", False),
                ("lesion_cnr", True),
                ("lesion_cnr_source", True),
                ("lesion_size_change", False),
            )
        },
    }
    ranges: ClassVar[Mapping[str, ValueRange]] = {
        **HARM_RANGES,
        "lesion_loss": ValueRange(0.0, 1.0),
        **{f"lesion_loss_{size}": ValueRange(0.0, 1.0) for size in SIZES},
        **{f"lesion_size_change_{size}": ValueRange(low=0.0) for size in SIZES},
    }
    diagnostics: ClassVar[Sequence[str]] = (
        *HARM_DIAGNOSTICS,
        *(f"{name}_{size}" for size in SIZES for name in ("lesion_cnr", "lesion_cnr_source")),
    )
    uses_metrics = False
    headline: ClassVar[Sequence[str]] = ("lesion_loss", *HARM_HEADLINE[1:])
    group = "lesions"

    def __init__(self, source: str) -> None:
        self.source = source
        self.name = f"lesions-{source}"

    def setup(self, cohort: Cohort, seed: int) -> TaskData:
        """Draw the lesions of each test scan.

        Raises
        ------
        SkipCell
            If no test scan has labels with white matter.
        """
        to_change = scans_to_change(cohort, self.source, seed)
        data, scans, shift = to_change.data, to_change.source, to_change.shift
        drawn = [draw_lesions(scans, n, seed) for n in range(len(scans))]
        places = [n for n, lesions in enumerate(drawn) if lesions]
        if not places:
            raise SkipCell(f"the labels of source '{self.source}' have no white matter")
        changes = tuple(painted(scans, n, drawn[n]) for n in places)
        unchanged = scans.subset(places)
        changed = Changes(
            scans=unchanged,
            changes=changes,
            shift=shift,
            numbers=tuple(places) if shift is not None else (),
        )
        test = unchanged.with_transform(changed)
        return replace(
            data,
            test=test,
            references=None,
            no_references="lesions are compared with those of the source",
            repeats=None,
            no_repeats="no rescan has the lesions",
            parameters={
                **data.parameters,
                "lesions": {
                    f"{scan.subject}/{scan.session}": {
                        lesion.size: list(lesion.centre) for lesion in drawn[n]
                    }
                    for n, scan in zip(places, test.scans, strict=True)
                },
            },
        )

    def scorer(self, context: ScoringContext) -> Scorer:
        """Return a scorer that measures the lesions."""
        return LesionScorer(context)
