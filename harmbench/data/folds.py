"""K-fold cross-validation by subject: every subject is a test subject in one fold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping

import pandas as pd

from harmbench.data.cohort import Cohort
from harmbench.errors import UserError
from harmbench.util.hashing import digest

# Share of validation subjects where the cohort's own split has none.
_VALIDATION = 0.1


def assign_folds(
    domains: Mapping[str, Collection[str]], folds: int, ages: Mapping[str, float] | None = None
) -> dict[str, int]:
    """Assign every subject to one fold.

    Subjects with scans in the same domains are a stratum. A stratum is sorted by age and cut
    into blocks of one subject per fold, which are dealt out in the order of a hash of their
    names. The subjects that remain go to the folds that have the fewest subjects of their
    domains, and of these to the smallest folds. So the sizes of two folds differ by at most one
    subject in every stratum, and the result does not depend on the order of the subjects.

    Parameters
    ----------
    domains
        The names of the domains in which each subject has scans.
    folds
        Number of folds.
    ages
        Ages in years, by subject; subjects without an age come last in their stratum.

    Returns
    -------
    dict
        Number of the fold by subject, from 1 to `folds`.

    Examples
    --------
    >>> by_subject = assign_folds({"p1": ["a"], "p2": ["a"], "p3": ["b"], "p4": ["b"]}, 2)
    >>> sorted(by_subject.values())
    [1, 1, 2, 2]
    """
    known_ages = ages or {}
    strata: dict[tuple[str, ...], list[str]] = {}
    for subject, names in domains.items():
        strata.setdefault(tuple(sorted(set(names))), []).append(subject)
    assigned: dict[str, int] = {}
    totals = Counter(dict.fromkeys(range(1, folds + 1), 0))
    sizes: Counter[tuple[str, int]] = Counter()
    for stratum in sorted(strata, key=lambda names: (-len(names), names)):
        hashes = {subject: digest("fold", subject) for subject in strata[stratum]}
        ordered = sorted(
            hashes, key=lambda subject: (known_ages.get(subject, float("inf")), hashes[subject])
        )
        for start in range(0, len(ordered), folds):
            block = sorted(ordered[start : start + folds], key=lambda subject: hashes[subject])
            full = {number: sum(sizes[name, number] for name in stratum) for number in totals}
            emptiest = sorted(totals, key=lambda number: (full[number], totals[number], number))
            for subject, number in zip(block, sorted(emptiest[: len(block)]), strict=True):
                assigned[subject] = number
                totals[number] += 1
                sizes.update((name, number) for name in stratum)
    return assigned


def folds_of(cohort: Cohort, folds: int) -> dict[str, int]:
    """Return the fold of each subject: as the cohort names it, else by `assign_folds`.

    Raises
    ------
    UserError
        If the cohort cannot be divided into this number of folds.
    """
    if folds < 2:
        raise UserError(f"--folds {folds}: cross-validation needs at least two folds")
    if "no_folds" in cohort.facts:
        raise UserError(f"cohort '{cohort.name}' has no folds: {cohort.facts['no_folds']}")
    if cohort.facts.get("standard"):
        raise UserError(
            f"the normalisation '{cohort.normalization}' learned from training subjects that "
            "folds test: choose another --normalize, or leave out --folds"
        )
    table = cohort.table
    n_target = table.loc[table["domain"] == cohort.target, "subject"].nunique()
    if n_target < folds:
        raise UserError(
            f"--folds {folds}: the target '{cohort.target}' of cohort '{cohort.name}' has only "
            f"{n_target} subjects; use at most --folds {n_target}"
        )
    return _named_folds(cohort, folds) if table["fold"].any() else stratified_folds(cohort, folds)


def stratified_folds(cohort: Cohort, folds: int) -> dict[str, int]:
    """Return the fold of each subject by `assign_folds`, whatever folds the cohort names."""
    table = cohort.table
    domains: dict[str, set[str]] = {}
    ages: dict[str, float] = {}
    for subject, domain, age in zip(table["subject"], table["domain"], table["age"], strict=True):
        domains.setdefault(subject, set()).add(domain)
        if pd.notna(age):
            ages[subject] = min(age, ages.get(subject, age))
    return assign_folds(domains, folds, ages)


def _named_folds(cohort: Cohort, folds: int) -> dict[str, int]:
    """Return the folds that the cohort's table or a split file names."""
    fold_of = dict(zip(cohort.table["subject"], cohort.table["fold"], strict=True))
    numbers = set(fold_of.values())
    if numbers != set(range(1, folds + 1)):
        raise UserError(
            f"--folds {folds}: the subjects of cohort '{cohort.name}' are assigned to the folds "
            f"{', '.join(map(str, sorted(numbers)))}, which is not 1 to {folds}"
        )
    return fold_of


def for_fold(cohort: Cohort, fold: int, folds: int) -> Cohort:
    """Return the cohort with the splits of one fold.

    Subjects of the fold are test subjects. Of the others, validation subjects are chosen
    domain by domain in the order of a hash: the share that the cohort's own split has among
    the target's subjects that are not for testing, else one in ten; at least one of every four
    and at most every fourth. The rest are training subjects.

    Parameters
    ----------
    cohort
        The cohort.
    fold, folds
        Number of the fold, from 1, and of all folds.

    Raises
    ------
    UserError
        If the cohort cannot be divided into this number of folds.
    """
    fold_of = folds_of(cohort, folds)
    rest = cohort.table[cohort.table["subject"].map(fold_of) != fold]
    share = _validation_share(cohort)
    validation: set[str] = set()
    for domain in (cohort.target, *cohort.sources):
        subjects = sorted(
            set(rest.loc[rest["domain"] == domain, "subject"]),
            key=lambda subject: digest("validation of a fold", fold, subject),
        )
        size = min(max(1, round(share * len(subjects))), len(subjects) // 4)
        free = [subject for subject in subjects if subject not in validation]
        chosen = len(subjects) - len(free)
        validation.update(free[: max(0, size - chosen)])
    splits = [
        "test" if fold_of[subject] == fold else "validation" if subject in validation else "train"
        for subject in cohort.table["subject"]
    ]
    return cohort.with_splits(cohort.table.assign(split=splits), f"{folds} folds", fold)


def _validation_share(cohort: Cohort) -> float:
    """Return the validation subjects' share of the target's subjects that are not for testing."""
    target = cohort.table[cohort.table["domain"] == cohort.target]
    subjects = target[target["split"] != "test"].groupby("subject")["split"].first()
    share = float((subjects == "validation").mean()) if len(subjects) else 0.0
    return share or _VALIDATION
