"""A cohort with another of its domains as the target."""

from __future__ import annotations

import pandas as pd

from harmbench.data.cohort import Cohort
from harmbench.data.spaces import spaces
from harmbench.errors import UserError
from harmbench.util.natural import natural

# Facts of the scans of the cohort's own target.
_OF_TARGET = ("repeat", "noise_free")


def with_target(cohort: Cohort, target: str) -> Cohort:
    """Return a cohort whose target is another domain, and whose former target is a source.

    No scan is prepared again: only scans that lie in one space are pairs. The truth of a subject
    is the first visit to the new target scanner in that space. The splits stay as they are, so
    that every subject is in one split whatever the target.

    Parameters
    ----------
    cohort
        The cohort, with the splits that matter.
    target
        Name of one of its domains.

    Raises
    ------
    UserError
        If the pairs or the normalisation of the cohort belong to its own target.
    """
    if target == cohort.target:
        return cohort
    if cohort.facts.get("standard"):
        raise UserError(
            f"target '{target}': the normalisation '{cohort.normalization}' learned from the "
            f"training scans of '{cohort.target}'; choose another --normalize"
        )
    if (cohort.table["partner"] != "").any() and not cohort.facts.get("travelling"):
        raise UserError(
            f"target '{target}': the pairs of cohort '{cohort.name}' are of neighbouring days with "
            f"'{cohort.target}'; leave out --target"
        )
    view = cohort.with_splits(_paired_with(cohort, target), cohort.split, cohort.fold)
    names = (cohort.target, *cohort.sources)
    view.target, view.sources = target, tuple(name for name in names if name != target)
    view.facts = {name: fact for name, fact in cohort.facts.items() if name not in _OF_TARGET}
    return view


def _paired_with(cohort: Cohort, target: str) -> pd.DataFrame:
    """Return the table with `paired` and `partner` of another target."""
    table = cohort.table
    domains, keys, sessions = (list(table[name]) for name in ("domain", "key", "session"))
    visits = [natural(str(details.get("visit") or "")) for details in table["details"]]
    in_space: dict[tuple[str, str], list[int]] = {}
    for place, (subject, space) in enumerate(zip(table["subject"], spaces(table), strict=True)):
        if space:
            in_space.setdefault((subject, space), []).append(place)
    paired, partner = [False] * len(table), [""] * len(table)
    for places in in_space.values():
        on_target = [place for place in places if domains[place] == target]
        if not on_target:
            continue
        first = min(on_target, key=lambda place: (visits[place], natural(sessions[place])))
        # A file that is listed in two domains is no pair with itself.
        others = [place for place in places if place != first and keys[place] != keys[first]]
        for place in others:
            paired[place] = paired[first] = True
            partner[place] = sessions[first] if cohort.facts.get("travelling") else ""
    return table.assign(paired=paired, partner=partner, gap_days=None)
