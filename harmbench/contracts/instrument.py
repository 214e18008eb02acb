"""The contract of an instrument, a fitted model that a task measures with."""

from __future__ import annotations

from harmbench.contracts.fit_data import FitData
from harmbench.contracts.model import Model


class Instrument(Model):
    """A model that a task measures harmonised scans with, such as a segmenter.

    It learns from the target domain alone, with its labels, so it is independent of source
    and method: one fit serves every cell with the same target, seed and preset. `Model` describes
    how it is fitted, stored and configured; its author defines `forward`, and the task's scorer
    calls it (`Task.scorer`).
    """

    @classmethod
    def entitled(cls, data: FitData) -> FitData:
        """Return the target's scans with their labels."""
        return data.of_target()
