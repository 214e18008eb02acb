"""The contract of an instrument: what a task measures with, where that has to be learnt."""

from __future__ import annotations

from harmbench.contracts.fit_data import FitData
from harmbench.contracts.model import Model


class Instrument(Model):
    """A model that a task measures harmonised scans with, such as a segmenter.

    It learns from the target domain alone, labels and all, so it depends on no source and on
    no method: one fit serves every cell with the same target, seed and preset. `Model` describes
    how it is fitted, stored and configured; its author defines `forward`, and the task's scorer
    calls it (`Task.scorer`).
    """

    @classmethod
    def entitled(cls, data: FitData) -> FitData:
        """Return the target's scans with their labels."""
        return data.of_target()
