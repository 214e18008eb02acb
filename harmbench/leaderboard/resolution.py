"""What the number of subjects can resolve, as sentences below a board."""

from __future__ import annotations

from collections.abc import Iterator

from harmbench.leaderboard.families import Comparison, FamilyComparison, needed
from harmbench.leaderboard.formatting import count
from harmbench.statistics.max_t import FEWEST_SUBJECTS, LEVEL


def resolution(comparison: Comparison) -> Iterator[str]:
    """Say whether the board separates any methods, and if not, how many subjects would."""
    families = [family for family in comparison.families if len(family.labels) > 1]
    if not families:
        return
    if comparison.smallest_p > LEVEL:
        yield (
            f"NO DIFFERENCE CAN BE SIGNIFICANT with {count(comparison.n, 'test subject')}: the "
            f"smallest possible p is {comparison.smallest_p:.2g}; at least {FEWEST_SUBJECTS} "
            "subjects are needed"
        )
        return
    if any(family.separated for family in families):
        return
    forecasts = [_needed(comparison, family) for family in families]
    yield "; ".join(
        [
            f"NO DIFFERENCE IS SIGNIFICANT with {count(comparison.n, 'test subject')}",
            *(text for text in forecasts if text),
        ]
    )


def _needed(comparison: Comparison, family: FamilyComparison) -> str:
    subjects = needed(comparison, family)
    if subjects is None:
        return ""
    return (
        f"{family.family}: about {subjects} subjects would resolve a difference of "
        f"{family.relevant_words} with 80 % power"
    )
