"""Volumes of fluid, grey and white matter on harmonised scans."""

from __future__ import annotations

import contextlib
import math
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import pandas as pd
from torch import Tensor

from harmbench import (
    Cohort,
    Estimate,
    Family,
    Grid,
    Instrument,
    Scans,
    ScanSet,
    Scorer,
    ScoringContext,
    Task,
    TaskData,
    ValueRange,
    bootstrap_draws,
    bootstrap_statistic,
    estimates,
)

from .domains import choose
from .repeats import scanned_twice
from .retest import icc
from .segmentation import labelled_target
from .tissue_features import (
    TISSUE_SEGMENTER,
    discrepancy,
    features_of,
    features_of_all,
    tissue_segmenter,
    volumes_in,
    volumes_of_all,
)
from .tissue_instrument import TISSUES, TissueInstrument
from .tissue_segmenter import TissueSegmenter
from .unharmonized import unharmonized_estimates

TOLERANCE = 1.5  # mm: how far apart two surfaces may be to agree
_LIMITS = 1.96  # standard deviations

Array = npt.NDArray[np.float64]


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Suppress MONAI 1.6's warning that it calls its own deprecated functions."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "monai.*always_return_as_numpy", FutureWarning)
        yield


def surface_dice(predicted: Tensor, true: Tensor, grid: Grid) -> float:
    """Return the share of two surfaces within the tolerance of each other (MONAI).

    Parameters
    ----------
    predicted, true
        Bool `(S, H, W)`; the true region is not empty.
    grid
        The grid of the regions.
    """
    from monai.metrics import compute_surface_dice

    if not bool(predicted.any()):
        return 0.0
    with _quiet():
        value = compute_surface_dice(
            predicted[None, None].float(),
            true[None, None].float(),
            class_thresholds=[TOLERANCE],
            include_background=True,
            spacing=list(grid.spacing),
        )
    return float(value)


def differences(volumes: Array) -> Array:
    """Return the differences of two volumes in per cent of their mean: `(..., n, 2)` to `(..., n)`.

    The sign is that of the first minus the second.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        values: Array = 100 * (volumes[..., 0] - volumes[..., 1]) / volumes.mean(axis=-1)
    return values


def bias(volumes: Array) -> Array:
    """Return the mean difference of `(..., n, 2)` in per cent (Bland and Altman 1986): `(...)`."""
    values: Array = differences(volumes).mean(axis=-1)
    return values


def limits(volumes: Array) -> Array:
    """Return half the width of the limits of agreement of `(..., n, 2)`, in per cent: `(...)`."""
    values: Array = _LIMITS * differences(volumes).std(axis=-1, ddof=1)
    return values


# Of all subjects together, by name and the fewest subjects.
COHORT_STATISTICS: Mapping[str, tuple[Callable[[Array], Array], int]] = {
    "volume_bias": (bias, 1),
    "volume_limits": (limits, 3),
    "volume_icc": (icc, 3),
}


class TissueVolumeScorer(Scorer):
    """Compares tissues with the labels, and their volumes with a comparator.

    Parameters
    ----------
    segmenter
        The instrument.
    comparators
        Volumes `(N, 3)` in ml that those of the test scans are compared with, in order.
    population
        Features `(n, 8)` of the target's training scans.
    grid
        The grid of the scans.
    """

    def __init__(
        self, segmenter: TissueInstrument, comparators: Array, population: Array, grid: Grid
    ) -> None:
        self._segmenter = segmenter
        self._comparators = comparators
        self._population = population
        self._grid = grid
        self._features: list[Array] = []
        self._rows: list[tuple[str, str, str, float]] = []
        self._scans = 0

    def compared_with(self, scans: ScanSet) -> TissueVolumeScorer:
        """Return an empty scorer that compares with the volumes of other scans."""
        comparators = volumes_of_all(self._segmenter, scans)
        return TissueVolumeScorer(self._segmenter, comparators, self._population, self._grid)

    def add(self, source: Scans, harmonized: Scans, references: Scans | None) -> None:
        """Segment a batch, and compare it."""
        segmented, tissues = self._segmenter.segmented(harmonized)
        assert segmented.predicted is not None
        self._features.append(features_of(tissues, harmonized, self._grid))
        for i, (subject, session) in enumerate(
            zip(segmented.subjects, segmented.sessions, strict=True)
        ):
            labels = None if source.labels is None else source.labels[i]
            values = self._overlaps(segmented.predicted[i], labels)
            measured = volumes_in(segmented.predicted[i], self._grid)
            pairs = np.stack([measured, self._comparators[self._scans]], axis=1)
            absolute = 100 * np.abs(pairs[:, 0] - pairs[:, 1]) / pairs[:, 1]
            for tissue, pair, difference in zip(TISSUES, pairs, absolute, strict=True):
                values[f"volume_error_{tissue}"] = float(difference)
                values[f"volume_{tissue}"], values[f"volume_target_{tissue}"] = map(float, pair)
            values["volume_error"] = float(absolute.mean())
            self._rows += [(subject, session, name, value) for name, value in values.items()]
            self._scans += 1

    def _overlaps(self, predicted: Tensor, labels: Tensor | None) -> dict[str, float]:
        """Return the agreement with the labels, if there are any."""
        values: dict[str, float] = {}
        for tissue, value in TISSUES.items():
            if labels is None or not bool((labels == value).any()):
                continue
            one, other = predicted == value, labels == value
            values[f"tissue_dice_{tissue}"] = float(
                2 * (one & other).sum() / (one.sum() + other.sum())
            )
            values[f"surface_dice_{tissue}"] = surface_dice(one, other, self._grid)
        for name in ("tissue_dice", "surface_dice"):
            of_tissues = [values[key] for key in values if key.startswith(name)]
            if of_tissues:
                values[name] = float(np.mean(of_tissues))
        return values

    def table(self) -> pd.DataFrame:
        """Return the values of each scan."""
        table = pd.DataFrame(self._rows, columns=["subject", "scan", "metric", "value"])
        return table.assign(slice=-1)[["subject", "scan", "slice", "metric", "value"]]

    def estimates(self, scores: pd.DataFrame) -> dict[str, Estimate]:
        """Return means over subjects, and the agreement of all subjects together."""
        numbers = {
            name: value for name, value in estimates(scores).items() if name in Volumes.measures
        }
        for tissue in TISSUES:
            pairs = _pairs(scores, tissue)
            for name, (statistic, fewest) in COHORT_STATISTICS.items():
                if len(pairs) >= fewest:
                    numbers[f"{name}_{tissue}"] = bootstrap_statistic(pairs, statistic)
        measured = np.concatenate(self._features)
        if min(len(measured), len(self._population)) > 1:
            value = discrepancy(measured, self._population)
            numbers["feature_mmd"] = Estimate(value, math.nan, math.nan, len(pairs))
        return numbers

    def draws(self, scores: pd.DataFrame) -> dict[str, Array]:
        """Return bootstrap draws of the agreement, for paired comparisons of methods."""
        return {
            f"{name}_{tissue}": bootstrap_draws(pairs, statistic)
            for tissue in TISSUES
            for pairs in [_pairs(scores, tissue)]
            for name, (statistic, fewest) in COHORT_STATISTICS.items()
            if len(pairs) >= fewest
        }

    def annotated(self, scans: Scans) -> Scans:
        """Return scans with the tissues that the segmenter finds, if it can segment slices."""
        if not self._segmenter.on_slices:
            return scans
        segmented: Scans = self._segmenter(scans)
        return segmented


def _pairs(scores: pd.DataFrame, tissue: str) -> Array:
    """Return each subject's volume and that of the comparator, in order of name: `(n, 2)`."""
    names = [f"volume_{tissue}", f"volume_target_{tissue}"]
    chosen = scores[scores["metric"].isin(names)]
    table = chosen.pivot_table(index="subject", columns="metric", values="value").sort_index()
    return table[names].to_numpy(dtype=np.float64)


class Volumes(Task):
    """Measure fluid, grey and white matter on harmonised scans.

    A network of the target finds the tissues. They are compared with the true labels, and their
    volumes with those on the subject's target scan, by the same network; with the volumes of the
    labels where the subject has no target scan. The repeat on the target scanner is the noise
    floor.

    Parameters
    ----------
    source
        Name of the source domain.
    """

    summary = "volumes of fluid, grey and white matter on harmonised scans"
    family = Family.DOWNSTREAM
    instruments: ClassVar[Mapping[str, type[Instrument]]] = {TISSUE_SEGMENTER: TissueSegmenter}
    measures: ClassVar[Mapping[str, bool]] = {
        "volume_error": False,
        "tissue_dice": True,
        "surface_dice": True,
        "feature_mmd": False,
        **{
            f"{name}_{tissue}": higher
            for name, higher in (
                ("volume_error", False),
                ("volume_bias", True),
                ("volume_limits", False),
                ("volume_icc", True),
                ("tissue_dice", True),
                ("surface_dice", True),
            )
            for tissue in TISSUES
        },
    }
    ranges: ClassVar[Mapping[str, ValueRange]] = {
        f"{name}{ending}": values
        for name, values in (
            ("volume_error", ValueRange(low=0.0)),
            ("volume_limits", ValueRange(low=0.0)),
            ("tissue_dice", ValueRange(0.0, 1.0)),
            ("surface_dice", ValueRange(0.0, 1.0)),
        )
        for ending in ("", *(f"_{tissue}" for tissue in TISSUES))
    }
    diagnostics: ClassVar[Sequence[str]] = (
        "feature_mmd",
        *(f"volume_bias_{tissue}" for tissue in TISSUES),
    )
    uses_metrics = False
    headline = ("volume_error", "tissue_dice", "surface_dice")

    def __init__(self, source: str) -> None:
        self.source = source
        self.name = f"volumes-{source}"

    def setup(self, cohort: Cohort, seed: int) -> TaskData:
        """Choose the labelled test scans; nothing is random.

        Raises
        ------
        SkipCell
            If source or target lack labels.
        """
        labelled = labelled_target(cohort)
        data = choose(cohort, self.source, labelled=True)
        twice = scanned_twice(cohort)
        paired = data.references is not None
        extra = {} if twice is None else {"first": twice[0], "second": twice[1]}
        return replace(
            data,
            labelled=labelled,
            extra=extra,
            parameters={
                **data.parameters,
                "comparator": "the subject's target scan" if paired else "labels",
            },
        )

    def scorer(self, context: ScoringContext) -> Scorer:
        """Return a scorer that segments and compares."""
        return self._scorer(context)

    def _scorer(self, context: ScoringContext) -> TissueVolumeScorer:
        segmenter, data = tissue_segmenter(context.instruments[TISSUE_SEGMENTER]), context.data
        comparators = (
            of_labels(data.test)
            if data.references is None
            else volumes_of_all(segmenter, data.references)
        )
        population = features_of_all(segmenter, data.target)
        return TissueVolumeScorer(segmenter, comparators, population, data.test.grid)

    def bounds(self, context: ScoringContext) -> Mapping[str, Mapping[str, Estimate]]:
        """Return the scores of the source as it is, and of a repeat on the target scanner."""
        data, scorer = context.data, self._scorer(context)
        bounds = {"source as it is": unharmonized_estimates(scorer, data.test)}
        if "first" in data.extra:
            repeat = scorer.compared_with(data.extra["first"])
            bounds["repeat on the target's scanner"] = unharmonized_estimates(
                repeat, data.extra["second"]
            )
        return bounds


def of_labels(scans: ScanSet) -> Array:
    """Return the volumes of the `TISSUES` in the labels of each scan, in ml: `(N, 3)`."""
    volumes = []
    for batch in scans.batches():
        assert batch.labels is not None
        volumes += [volumes_in(labels, scans.grid) for labels in batch.labels]
    return np.array(volumes)
