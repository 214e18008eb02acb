"""Covariates of scans: what the tables of a study say of its subjects and sessions."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from harmbench.util.text_table import is_missing


def covariates_of(rows: Sequence[Mapping[str, str]], excluded: Iterable[str]) -> dict[str, str]:
    """Return the known values of a scan's rows by column.

    Parameters
    ----------
    rows
        The rows, such as those of the subject and of the session; a later one overrides an
        earlier one.
    excluded
        Columns that are no covariates, such as names of files.
    """
    skipped = set(excluded)
    values: dict[str, str] = {}
    for row in rows:
        known = {name: value for name, value in row.items() if not is_missing(value)}
        values |= {name: value for name, value in known.items() if name not in skipped}
    return values


def typed_covariates(scans: Sequence[Mapping[str, str]]) -> list[dict[str, str | float]]:
    """Return the covariates of all scans, a column that holds nothing but numbers as numbers.

    Parameters
    ----------
    scans
        The known values of each scan by column.

    Examples
    --------
    >>> typed_covariates([{"age": "30", "group": "1"}, {"group": "x"}])
    [{'age': 30.0, 'group': '1'}, {'group': 'x'}]
    """
    texts = {name for scan in scans for name, value in scan.items() if _number(value) is None}
    return [
        {name: value if name in texts else float(value) for name, value in scan.items()}
        for scan in scans
    ]


def age_in_years(covariates: Mapping[str, str]) -> float | None:
    """Return the covariate `age` as a number; None if it is none."""
    return _number(covariates.get("age", ""))


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
