"""What scans are called wherever a number or a picture from them is shown."""

from __future__ import annotations


def kind_of_scans(kind: str) -> str:
    """Return in words what a cohort's kind says of its scans; only real scans are called so.

    Examples
    --------
    >>> kind_of_scans("phantom"), kind_of_scans("simulated"), kind_of_scans("real")
    ('PHANTOM, not real scans', 'SIMULATED, not real scans', 'real scans')
    """
    return "real scans" if kind == "real" else f"{kind.upper()}, not real scans"


def phantom_note(kind: str) -> str:
    """Return what follows the cohort's name in a picture's title: nothing for real scans."""
    return "" if kind == "real" else f" ({kind_of_scans(kind)})"
