"""Sorting texts with numbers by value."""

from __future__ import annotations

import re


def natural(text: str) -> tuple[tuple[int, str], ...]:
    """Return a key that sorts numbers within a text by value.

    Examples
    --------
    >>> sorted(["10", "9", "a2"], key=natural)
    ['a2', '9', '10']
    """
    parts = re.findall(r"\d+|\D+", text.casefold())
    return tuple((int(part), "") if part.isdigit() else (-1, part) for part in parts)
