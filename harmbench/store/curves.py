"""Curves of fits on disk: `curves.csv`."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from harmbench.contracts.fit_progress import CurvePoint

_NAME = "curves.csv"


def write_curves(folder: Path, curves: Sequence[CurvePoint]) -> None:
    """Write curves to a folder."""
    with (folder / _NAME).open("w", newline="") as stream:
        csv.writer(stream).writerows([CurvePoint._fields, *curves])


def read_curves(folder: Path) -> tuple[CurvePoint, ...]:
    """Read the curves of a folder."""
    with (folder / _NAME).open(newline="") as stream:
        _, *rows = csv.reader(stream)
    return tuple(CurvePoint(int(step), name, float(value)) for step, name, value in rows)
