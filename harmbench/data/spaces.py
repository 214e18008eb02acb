"""Which scans of a subject lie in one space, from a cohort's table."""

from __future__ import annotations

import pandas as pd

# In a scan's details: the name of its space, the same for all scans of the subject that lie in it,
# and empty for a scan that shares its space with no other one.
SPACE = "subject_space"
# The space of all scans of a subject that need no registration to each other.
COMMON = "common"


def spaces(table: pd.DataFrame) -> list[str]:
    """Return the name of the space of each scan in a cohort's table; empty if it has its own.

    Of a cohort whose source records no spaces, the paired scans of a subject share one.
    """
    return [
        details.get(SPACE, COMMON if paired else "")
        for details, paired in zip(table["details"], table["paired"], strict=True)
    ]
