"""What a method must be given before it can harmonise."""

from __future__ import annotations

from enum import Enum


class Needs(Enum):
    """The data that a method is entitled to; it is handed that and nothing more.

    Attributes
    ----------
    NOTHING
        No fit data at all.
    TARGET
        Scans of the target domain alone: a *blind* method.
    UNPAIRED
        The same scans of the target domain, and scans of the source domain of other subjects.
    PAIRED
        Scans of the same subjects in both domains, in the same space; of all training subjects
        with such scans.
    TRUTH
        The paired truth of the very scans to be harmonised. For controls that bound
        the scale from above; never for a method that is to be compared.
    """

    NOTHING = "nothing"
    TARGET = "target"
    UNPAIRED = "unpaired"
    PAIRED = "paired"
    TRUTH = "truth"
