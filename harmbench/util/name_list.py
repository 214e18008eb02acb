"""Lists of names in messages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping


def first_names(names: Iterable[str], most: int = 5) -> str:
    """Join names, of more than `most` the first ones and the number of the rest.

    Examples
    --------
    >>> first_names("abc", most=2), first_names("ab")
    ('a, b and 1 more', 'a, b')
    """
    names = list(names)
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def by_reason(reasons: Mapping[str, str], most: int = 5) -> list[str]:
    """Return a line for each reason with the first of its names, and the number of the rest.

    Examples
    --------
    >>> by_reason({"a": "empty", "b": "empty", "c": "cut short"}, most=1)
    ['a and 1 more (empty)', 'c (cut short)']
    """
    names: dict[str, list[str]] = {}
    for name, reason in reasons.items():
        names.setdefault(reason, []).append(name)
    return [f"{first_names(group, most)} ({reason})" for reason, group in names.items()]
