"""Splitting subjects into training, validation and test sets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from harmbench.errors import UserError
from harmbench.util.hashing import digest

SPLITS = ("train", "validation", "test")


def split_subjects(
    subjects_by_domain: Mapping[str, Iterable[str]], *, validation: float, test: float
) -> dict[str, str]:
    """Assign every subject to one split, the same in all domains.

    Subjects are assigned domain by domain in the order of a hash of their name, so that the
    split does not depend on the order in a file. A subject that an earlier domain assigned
    keeps its split. Each domain gets at least one training and one test subject, unless all
    its subjects were assigned before.

    Parameters
    ----------
    subjects_by_domain
        The subjects of each domain, the target domain first.
    validation, test
        Fractions of each domain's subjects.

    Returns
    -------
    dict
        `"train"`, `"validation"` or `"test"` by subject.

    Raises
    ------
    UserError
        If a domain has fewer than two subjects.

    Examples
    --------
    >>> split = split_subjects({"a": ["p1", "p2", "p3", "p4"]}, validation=0, test=0.5)
    >>> sorted(split.values())
    ['test', 'test', 'train', 'train']
    """
    assigned: dict[str, str] = {}
    for domain, names in subjects_by_domain.items():
        subjects = sorted(set(names), key=lambda subject: digest("split", subject))
        if len(subjects) < 2:
            count = f"only the subject '{subjects[0]}'" if subjects else "no subject"
            raise UserError(
                f"domain '{domain}' has {count}; a split by subject needs at least two subjects"
            )
        n_test = min(max(1, round(test * len(subjects))), len(subjects) - 1)
        n_validation = min(round(validation * len(subjects)), len(subjects) - n_test - 1)
        counts = {"test": n_test, "validation": n_validation}
        for split in counts:
            counts[split] -= sum(assigned.get(subject) == split for subject in subjects)
        for subject in subjects:
            if subject in assigned:
                continue
            split = next((name for name, left in counts.items() if left > 0), "train")
            assigned[subject] = split
            if split in counts:
                counts[split] -= 1
    return assigned


def halve_subjects(subjects: Iterable[str]) -> tuple[frozenset[str], frozenset[str]]:
    """Divide subjects into two halves by a hash of their names: for the source, for the target.

    The halves do not depend on the order of the names. Of an odd number the target's half
    has one more.

    Examples
    --------
    >>> source, target = halve_subjects(["p1", "p2", "p3"])
    >>> len(source), len(target), len(source & target)
    (1, 2, 0)
    """
    ordered = sorted(set(subjects), key=lambda subject: digest("source or target", subject))
    middle = len(ordered) // 2
    return frozenset(ordered[:middle]), frozenset(ordered[middle:])
