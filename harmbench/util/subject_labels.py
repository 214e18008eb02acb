"""Labels of subjects that are written in different ways: `sub-0012`, `0012` and `12`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable


def bare_label(text: str, prefix: str = "sub-") -> str:
    """Return a label without blanks around it and without its prefix.

    Examples
    --------
    >>> bare_label(" sub-0012"), bare_label("0012"), bare_label("ses-02", "ses-")
    ('0012', '0012', '02')
    """
    text = text.strip()
    return text[len(prefix) :] if text.casefold().startswith(prefix) else text


def match_labels(labels: Iterable[str], others: Iterable[str]) -> dict[str, str]:
    """Return which of the other labels means the same as each label.

    Equal labels match. Of the rest, two match if they differ in leading zeros or case only, and
    no third label is like them: spreadsheets remove leading zeros.

    Parameters
    ----------
    labels, others
        Labels without a prefix.

    Examples
    --------
    >>> match_labels(["0050701", "02", "a"], ["50701", "02", "2", "b"])
    {'0050701': '50701', '02': '02'}
    """
    ours, theirs = list(dict.fromkeys(labels)), list(dict.fromkeys(others))
    counts = Counter(map(_core, ours)), Counter(map(_core, theirs))
    by_core = {_core(other): other for other in theirs}
    known = set(theirs)
    matched = {}
    for label in ours:
        core = _core(label)
        if label in known:
            matched[label] = label
        elif counts[0][core] == counts[1][core] == 1:
            matched[label] = by_core[core]
    return matched


def alike_labels(labels: Iterable[str]) -> list[list[str]]:
    """Return the groups of labels that differ in leading zeros or case only.

    Examples
    --------
    >>> alike_labels(["01", "sub-1", "2", "01"])
    [['01', '1']]
    """
    groups: dict[str, list[str]] = {}
    for label in sorted({*map(bare_label, labels)}):
        groups.setdefault(_core(label), []).append(label)
    return [group for group in groups.values() if len(group) > 1]


def _core(label: str) -> str:
    return label.casefold().lstrip("0") or "0"
