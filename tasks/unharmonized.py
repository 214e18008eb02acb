"""Scores of scans as they are: reference values beside those of harmonised scans."""

from __future__ import annotations

from harmbench import Estimate, ScanSet, Scorer


def unharmonized_estimates(scorer: Scorer, scans: ScanSet) -> dict[str, Estimate]:
    """Return the numbers of a scorer for scans that no method has changed."""
    for batch in scans.batches():
        scorer.add(batch, batch, None)
    return scorer.estimates(scorer.table())
