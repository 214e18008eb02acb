"""Scores of harm: whether a harmonised scan is worse than the scan that the method received."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch import Tensor

from harmbench import Scans, Scorer, ValueRange

MARGIN_DB = 0.5  # a loss below is no harm: the margin of the leaderboard's comparisons
WORST_DB = 40.0  # bounds a loss, so that one scan does not decide a mean

Array = npt.NDArray[np.float64]
V = TypeVar("V")

# `harmed_unflagged` counts harm that the method did not warn of.
HARM_MEASURES: Mapping[str, bool] = {
    "harm": False,
    "harmed": False,
    "harmed_unflagged": False,
    "flagged": True,
}
_SHARE = ValueRange(0.0, 1.0, share=True)
HARM_RANGES: Mapping[str, ValueRange] = {
    "harm": ValueRange(0.0, WORST_DB),
    "harmed": _SHARE,
    "harmed_unflagged": _SHARE,
    "flagged": _SHARE,
    "psnr_gain": ValueRange(-WORST_DB, WORST_DB),
}
HARM_HEADLINE = ("harm", "harmed", "harmed_unflagged")
HARM_DIAGNOSTICS = ("flagged",)


def _with_versions(values: Mapping[str, V], versions: Sequence[str]) -> dict[str, V]:
    """Return values by measure, with those of the measures of each version."""
    of_versions = {
        f"{name}_{version}": values[name]
        for version in versions
        for name in ("harm", "harmed", "flagged")
    }
    return {**values, **of_versions}


def measures_of(versions: Sequence[str]) -> dict[str, bool]:
    """Return the measures of a task with several versions of each scan, with their directions."""
    return _with_versions(HARM_MEASURES, versions)


def ranges_of(versions: Sequence[str]) -> dict[str, ValueRange]:
    """Return the ranges of the measures of `measures_of`, and of the gain."""
    return _with_versions(HARM_RANGES, versions)


def diagnostics_of(versions: Sequence[str]) -> tuple[str, ...]:
    """Return the measures of `measures_of` that rank nothing."""
    return (*HARM_DIAGNOSTICS, *(f"flagged_{version}" for version in versions))


def rmse(x: Tensor, y: Tensor, region: Tensor) -> Array:
    """Return the root mean squared error of N scans `(N, S, H, W)` in a region: `(N,)`."""
    squares = torch.where(region, (x.double() - y.double()).square(), 0).sum(dim=(1, 2, 3))
    errors: Array = (squares / region.sum(dim=(1, 2, 3))).sqrt().numpy()
    return errors


def loss_in_decibels(error: Array, allowed: Array) -> Array:
    r"""Return how far an error exceeds the allowed one: :math:`\max(0, 20 \log_{10}(e / e_0))`.

    Of two errors against one truth it is the loss of PSNR.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        loss: Array = 20 * np.log10(error / allowed)
    # Two exact images have no loss, and an inexact image instead of an exact one the worst.
    return np.where(error == 0, 0.0, np.clip(loss, 0.0, WORST_DB))


class HarmScorer(Scorer):
    """Collects the harm of scans, and whether the method flagged them.

    Parameters
    ----------
    versions
        Names of the versions of each scan; the name of a session ends with that of its version.
        Empty if there is one version.
    margin
        The smallest harm that counts.
    name
        Name of the metric of harm; another than "harm" if it is not in dB.
    """

    def __init__(
        self, versions: Sequence[str] = (), *, margin: float = MARGIN_DB, name: str = "harm"
    ) -> None:
        self._versions = versions
        self._margin = margin
        self._name = name
        self._rows: list[tuple[str, str, str, float]] = []

    def keep(self, harmonized: Scans, harm: Array, more: Mapping[str, Array] | None = None) -> None:
        """Keep the harm of N scans `(N,)`, and further values by metric; NaN is left out."""
        flags = harmonized.flags or ("",) * len(harmonized)
        for i, (subject, session) in enumerate(
            zip(harmonized.subjects, harmonized.sessions, strict=True)
        ):
            harmed = math.nan if math.isnan(harm[i]) else float(harm[i] > self._margin)
            values = {
                self._name: float(harm[i]),
                "harmed": harmed,
                "flagged": float(bool(flags[i])),
            }
            if self._versions:
                # Not by the order of the scans: a submission or a command may lack some.
                version = next(name for name in self._versions if session.endswith(name))
                values |= {f"{name}_{version}": value for name, value in values.items()}
            values["harmed_unflagged"] = harmed * (1 - values["flagged"])
            values |= {
                name: float(array[i])
                for name, array in (more or {}).items()
                if not math.isnan(array[i])
            }
            self._rows += [(subject, session, name, value) for name, value in values.items()]

    def table(self) -> pd.DataFrame:
        """Return all values, one row for a scan and metric."""
        table = pd.DataFrame(self._rows, columns=["subject", "scan", "metric", "value"])
        return table.assign(slice=-1)[["subject", "scan", "slice", "metric", "value"]]


class TruthHarmScorer(HarmScorer):
    """Harm is the loss of PSNR against the truth, relative to the scan before harmonisation."""

    def add(self, source: Scans, harmonized: Scans, references: Scans | None) -> None:
        """Compare a batch with its truth."""
        assert references is not None
        region = harmonized.masks & references.masks & self.visible(references)
        before, after = (
            rmse(scans.images, references.images, region) for scans in (source, harmonized)
        )
        with np.errstate(divide="ignore"):
            gain = 20 * (np.log10(before) - np.log10(after))
        gain = np.where(np.isnan(gain), 0.0, gain.clip(-WORST_DB, WORST_DB))
        self.keep(harmonized, loss_in_decibels(after, before), {"psnr_gain": gain})

    def visible(self, references: Scans) -> Tensor:
        """Return the slices that the truth shows, `(N, S, 1, 1)`: not those that are cut off."""
        return (references.images > 0).any(dim=-1).any(dim=-1)[..., None, None]
