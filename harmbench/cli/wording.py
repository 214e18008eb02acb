"""Wording of messages."""

from __future__ import annotations


def counted(count: int, noun: str, plural: str = "") -> str:
    """Return a number with its noun.

    Examples
    --------
    >>> counted(1, "cell"), counted(2, "cell"), counted(0, "entry", "entries")
    ('1 cell', '2 cells', '0 entries')
    """
    return f"{count} {noun if count == 1 else plural or noun + 's'}"
