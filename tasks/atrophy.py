"""Atrophy: whether a known loss of tissue is measured on harmonised scans."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from scipy import ndimage
from torch import Tensor

from harmbench import (
    Cohort,
    Estimate,
    Family,
    Instrument,
    Scans,
    ScanSet,
    Scorer,
    ScoringContext,
    SkipCell,
    Task,
    TaskData,
    ValueRange,
)

from .deformation import LabelledScan
from .scan_changes import Changes, SliceChange, versions
from .scans_with_truth import scans_to_change
from .segmentation import labelled_target
from .shrinkage import MARGIN, STRUCTURES, Shrinkage, amplitudes_of, structures
from .tissue_features import TISSUE_SEGMENTER, tissue_segmenter
from .tissue_instrument import TISSUES
from .tissue_segmenter import TissueSegmenter
from .unharmonized import unharmonized_estimates

# Per cent of volume that is lost at each visit; a Latin square, so that no two structures lose
# the same at one visit.
VISITS: Mapping[str, dict[str, float]] = {
    "first": {"deep": 2.0, "cortex": 5.0, "ventricles": 10.0},
    "second": {"deep": 5.0, "cortex": 10.0, "ventricles": 2.0},
    "third": {"deep": 10.0, "cortex": 2.0, "ventricles": 5.0},
}
BASELINE = "baseline"
_TISSUE = {"deep": "gm", "cortex": "gm", "ventricles": "csf"}

Array = npt.NDArray[np.float64]


class AtrophyScorer(Scorer):
    """Measures each structure at the baseline and at each visit.

    Parameters
    ----------
    context
        What the cell is scored with; the true changes are in the parameters of its data.
    """

    def __init__(self, context: ScoringContext) -> None:
        self._segmenter = tissue_segmenter(context.instruments[TISSUE_SEGMENTER])
        self._grid = context.data.test.grid
        self._true = context.data.parameters["true changes"]
        self._baselines: dict[str, Array] = {}
        self._measured: list[tuple[str, str, Array, Array]] = []

    def add(self, source: Scans, harmonized: Scans, references: Scans | None) -> None:
        """Measure a batch; a baseline comes before its visits."""
        assert source.labels is not None
        tissues = self._segmenter.probabilities(harmonized)
        for i, (subject, session) in enumerate(
            zip(harmonized.subjects, harmonized.sessions, strict=True)
        ):
            volumes = self._volumes(tissues[i], source.labels[i].numpy())
            scan = f"{subject}/{session}"
            if scan.endswith(BASELINE):
                self._baselines[scan.removesuffix(BASELINE)] = volumes
                continue
            visit = next(name for name in VISITS if scan.endswith(name))
            before = self._baselines.get(scan.removesuffix(visit))
            if before is None:  # a submission lacks it
                continue
            with np.errstate(divide="ignore", invalid="ignore"):
                change = 100 * (volumes / before - 1)
            true = np.array([self._true[scan][name] for name in STRUCTURES])
            self._measured.append((subject, session, change, true))

    def _volumes(self, tissues: Tensor, labels: npt.NDArray[np.uint8]) -> Array:
        """Return the volume of each structure, near where its labels are, in voxels."""
        sums = []
        for name, region in structures(labels, self._grid).items():
            away = ndimage.distance_transform_edt(~region, sampling=self._grid.spacing)
            near = torch.from_numpy(away <= MARGIN)
            tissue = tissues[[*TISSUES].index(_TISSUE[name])]
            sums.append(float(tissue[near].double().sum()))
        return np.array(sums)

    def table(self) -> pd.DataFrame:
        """Return error and bias in percentage points, and the slope of measured on true change."""
        rows: list[tuple[str, str, str, float]] = []
        by_subject: dict[str, list[tuple[Array, Array]]] = {}
        for subject, session, change, true in self._measured:
            # No volume was found at the baseline: nothing of the change was measured.
            measured = np.where(np.isfinite(change), change, 0.0)
            by_subject.setdefault(subject, []).append((measured, true))
            rows.append((subject, session, "atrophy_error", float(np.abs(measured - true).mean())))
            rows += [
                (subject, session, f"atrophy_bias_{name}", float(error))
                for name, error in zip(STRUCTURES, measured - true, strict=True)
            ]
        for subject, pairs in by_subject.items():
            measured, true = (np.array(side) for side in zip(*pairs, strict=True))
            slopes = (measured * true).sum(axis=0) / (true**2).sum(axis=0)
            rows += [
                (subject, "all", f"atrophy_slope_{name}", float(slope))
                for name, slope in zip(STRUCTURES, slopes, strict=True)
            ]
        table = pd.DataFrame(rows, columns=["subject", "scan", "metric", "value"])
        return table.assign(slice=-1)[["subject", "scan", "slice", "metric", "value"]]


class Atrophy(Task):
    """Measure a known loss of tissue on harmonised scans.

    Each labelled source scan comes as a baseline and at three visits, at which a deformation has
    shrunk deep grey matter and cortex and enlarged the ventricles, by 2, 5 and 10 % each in
    another order. A network of the target measures the volumes. The score is the error of the
    measured change in percentage points; bias, and slope of measured on true change, are shown
    beside it.

    Parameters
    ----------
    source
        Name of the source domain, or `SIMULATED`.
    """

    summary = "measure a simulated loss of 2, 5 and 10 % of tissue on harmonised scans"
    family = Family.BIOLOGY
    instruments: ClassVar[Mapping[str, type[Instrument]]] = {TISSUE_SEGMENTER: TissueSegmenter}
    measures: ClassVar[Mapping[str, bool]] = {
        "atrophy_error": False,
        **{f"atrophy_slope_{name}": True for name in STRUCTURES},
        **{f"atrophy_bias_{name}": True for name in STRUCTURES},
    }
    ranges: ClassVar[Mapping[str, ValueRange]] = {"atrophy_error": ValueRange(low=0.0)}
    diagnostics: ClassVar[Sequence[str]] = tuple(
        f"atrophy_{kind}_{name}" for kind in ("slope", "bias") for name in STRUCTURES
    )
    uses_metrics = False
    headline = ("atrophy_error",)
    group = "atrophy"

    def __init__(self, source: str) -> None:
        self.source = source
        self.name = f"atrophy-{source}"

    def setup(self, cohort: Cohort, seed: int) -> TaskData:
        """Deform the test scans; nothing is random but a simulated scanner.

        Raises
        ------
        SkipCell
            If the test scans lack labels of a structure, or the target has none to learn from.
        """
        labelled = labelled_target(cohort)
        scans = scans_to_change(cohort, self.source, seed)
        source, names = scans.source, [BASELINE, *VISITS]
        test = versions(source, names)
        changes: list[SliceChange | None] = []
        true: dict[str, Any] = {}
        for number, scan in enumerate(source.scans):
            changes.append(None)
            drawn = _drawn(source, number)
            for visit, (amplitudes, change) in zip(VISITS, drawn, strict=True):
                changes.append(Shrinkage(LabelledScan(source, source, number), amplitudes))
                true[f"{scan.subject}/{scan.session}{visit}"] = change
        numbers = tuple(n for n in range(len(source)) for _ in names)
        shift = scans.shift
        changed = Changes(
            scans=test,
            changes=tuple(changes),
            shift=shift,
            numbers=numbers if shift is not None else (),
        )
        return replace(
            scans.data,
            test=test.with_transform(changed),
            references=None,
            no_references="the measured change is compared with the deformation, not with a scan",
            repeats=None,
            no_repeats="no rescan has the loss",
            labelled=labelled,
            parameters={**scans.data.parameters, "true changes": true},
        )

    def scorer(self, context: ScoringContext) -> Scorer:
        """Return a scorer that measures volumes."""
        return AtrophyScorer(context)

    def bounds(self, context: ScoringContext) -> Mapping[str, Mapping[str, Estimate]]:
        """Return the scores of the source as it is."""
        test = context.data.test
        return {"source as it is": unharmonized_estimates(AtrophyScorer(context), test)}


def _drawn(scans: ScanSet, number: int) -> list[tuple[tuple[float, ...], dict[str, float]]]:
    """Return the deformation of a scan at each visit, and the true changes.

    Raises
    ------
    SkipCell
        If the scan's labels lack a structure.
    """
    scan = scans.load([number])
    assert scan.labels is not None
    labels, mask = scan.labels[0].numpy(), scan.masks[0].numpy()
    for name, region in structures(labels, scans.grid).items():
        if not region.any():
            raise SkipCell(f"the labels of '{scan.subjects[0]}' have no '{name}'")
    return amplitudes_of(labels, mask, scans.grid, [*VISITS.values()])
