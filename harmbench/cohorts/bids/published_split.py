"""Splits by subject that come as near as they can to the sizes a paper used."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from harmbench.cohorts.bids.recipe import Split
from harmbench.util.hashing import digest


def split_as_published(
    scans: Mapping[str, Sequence[str]],
    paired: Mapping[str, Sequence[str]],
    split: Split,
    n_slices: int,
) -> dict[str, str]:
    """Assign every subject to one split, the same in all domains.

    Test subjects are taken first, those who have pairs with most source domains before others,
    since a domain is tested on its pairs if it has any; so few subjects serve all domains.
    Validation takes subjects with the fewest pairs. In each domain the number of scans comes
    as near to the published one as whole subjects allow, and never above the split's fraction
    of the domain; at least one subject stays to be trained on.

    Parameters
    ----------
    scans
        The subject of each scan of a domain, the target domain first.
    paired
        The subject of each scan of a source domain that is paired with a target scan.
    split
        Fractions, and the published numbers of slices.
    n_slices
        Of a scan on the grid.

    Returns
    -------
    dict
        `"train"`, `"validation"` or `"test"` by subject.

    Examples
    --------
    >>> subjects = {"a": ["p1", "p2", "p3", "p4"], "b": ["p3", "p4", "p5"]}
    >>> found = split_as_published(subjects, {"b": ["p4"]}, Split(validation=0, test=0.3), 50)
    >>> [subject for subject, side in found.items() if side == "test"]
    ['p4']
    """
    counts = {domain: Counter(subjects) for domain, subjects in scans.items()}
    tested = {
        domain: Counter(paired.get(domain) or subjects) if index else Counter(subjects)
        for index, (domain, subjects) in enumerate(scans.items())
    }
    having = Counter(subject for subjects in paired.values() for subject in set(subjects))
    everybody = {subject for subjects in counts.values() for subject in subjects}
    order = sorted(everybody, key=lambda subject: (-having[subject], digest("split", subject)))
    assigned: dict[str, str] = {}

    def spare(subject: str) -> bool:
        """Whether every domain of the subject keeps somebody else to be trained on."""
        return all(
            any(other != subject and other not in assigned for other in subjects)
            for subjects in counts.values()
            if subject in subjects
        )

    def fill(side: str, numbers: Counter[str], wanted: float, subjects: Sequence[str]) -> None:
        found = sum(number for subject, number in numbers.items() if assigned.get(subject) == side)
        for subject in subjects:
            number = numbers[subject]
            nearer = abs(found + number - wanted) < abs(found - wanted)
            needed = side == "test" and not found
            if number and subject not in assigned and (nearer or needed) and spare(subject):
                assigned[subject] = side
                found += number

    # Sources before the target: a paired subject is also one of the target.
    target, *sources = scans
    for domain in (*sources, target):
        numbers = tested[domain]
        most = split.test * sum(numbers.values())
        sizes = split.published.get(domain)
        wanted = min(most, sizes.test / n_slices) if sizes else most
        fill("test", numbers, wanted, order[::-1] if domain == target else order)
    for domain in scans:
        sizes = split.published.get(domain)
        most = split.validation * sum(counts[domain].values())
        wanted = min(most, sizes.validation / n_slices) if sizes else most
        fill("validation", counts[domain], wanted, order[::-1])
    return {subject: assigned.get(subject, "train") for subject in order}
