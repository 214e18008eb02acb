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
    SITES
        Training scans of all domains with the names of the domains, of which no two share a
        subject. No pairs. The method is also given the domain of each scan that it harmonises.
    REPEAT
        A repeat of each test scan: the same subject on the target scanner, in another session.
        For the control `rescan`; never for a ranked method.
    TRUTH
        The paired truth of the test scans. For the control `oracle`; never for a ranked method.
    """

    NOTHING = "nothing"
    TARGET = "target"
    UNPAIRED = "unpaired"
    PAIRED = "paired"
    SITES = "sites"
    REPEAT = "repeat"
    TRUTH = "truth"

    @property
    def control_only(self) -> bool:
        """Whether only controls may declare it: it gives access to target scans of test subjects.

        Examples
        --------
        >>> Needs.REPEAT.control_only, Needs.PAIRED.control_only
        (True, False)
        """
        return self in (Needs.REPEAT, Needs.TRUTH)
