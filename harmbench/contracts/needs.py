"""The data that a method needs before it can harmonise."""

from __future__ import annotations

from enum import Enum


class Needs(Enum):
    """The data that a method is entitled to; it receives nothing else.

    Attributes
    ----------
    NOTHING
        No fit data.
    TARGET
        Scans of the target domain alone: a *blind* method.
    UNPAIRED
        The same scans of the target domain, and scans of the source domain of other subjects.
    PAIRED
        Scans of the same subjects in both domains, in the same space; of all training subjects
        with such scans.
    TRUTH
        The paired truth of the test scans. Only for controls that bound the scale from
        above; never for a ranked method.
    """

    NOTHING = "nothing"
    TARGET = "target"
    UNPAIRED = "unpaired"
    PAIRED = "paired"
    TRUTH = "truth"
