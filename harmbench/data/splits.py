"""Splitting subjects into training, validation and test sets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from harmbench.errors import UserError
from harmbench.util.hashing import digest

SPLITS = ("train", "validation", "test")


def split_people(
    people_by_domain: Mapping[str, Iterable[str]], *, validation: float, test: float
) -> dict[str, str]:
    """Assign every person to one split, the same in all domains.

    People are taken domain by domain in the order of a hash of their name, so that the
    split depends on nobody's position in a file; whoever was assigned with an earlier
    domain stays. Each domain gets at least one person to train and one to test on, as far as
    its people were not all assigned before.

    Parameters
    ----------
    people_by_domain
        The people of each domain, the target domain first.
    validation, test
        Fractions of each domain's people.

    Returns
    -------
    dict
        `"train"`, `"validation"` or `"test"` by person.

    Raises
    ------
    UserError
        If a domain has fewer than two people.

    Examples
    --------
    >>> split = split_people({"a": ["p1", "p2", "p3", "p4"]}, validation=0, test=0.5)
    >>> sorted(split.values())
    ['test', 'test', 'train', 'train']
    """
    assigned: dict[str, str] = {}
    for domain, names in people_by_domain.items():
        people = sorted(set(names), key=lambda person: digest("split", person))
        if len(people) < 2:
            found = f"only '{people[0]}'" if people else "nobody"
            raise UserError(
                f"domain '{domain}' has {found}; a split by person needs at least two people"
            )
        n_test = min(max(1, round(test * len(people))), len(people) - 1)
        n_validation = min(round(validation * len(people)), len(people) - n_test - 1)
        counts = {"test": n_test, "validation": n_validation}
        for split in counts:
            counts[split] -= sum(assigned.get(person) == split for person in people)
        for person in people:
            if person in assigned:
                continue
            split = next((name for name, left in counts.items() if left > 0), "train")
            assigned[person] = split
            if split in counts:
                counts[split] -= 1
    return assigned
