"""Splits by person that come as near as they can to the sizes a paper used."""

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
    """Assign every person to one split, the same in all domains.

    Test people are taken first, those who have pairs with most source domains before others,
    since a domain is tested on its pairs if it has any; so few people serve all domains.
    Validation takes people with the fewest pairs. In each domain the number of scans comes
    as near to the published one as whole people allow, and never above the split's fraction
    of the domain; at least one person stays to be trained on.

    Parameters
    ----------
    scans
        The person of each scan of a domain, the target domain first.
    paired
        The person of each scan of a source domain that is paired with a target scan.
    split
        Fractions, and the published numbers of slices.
    n_slices
        Of a scan on the grid.

    Returns
    -------
    dict
        `"train"`, `"validation"` or `"test"` by person.

    Examples
    --------
    >>> people = {"a": ["p1", "p2", "p3", "p4"], "b": ["p3", "p4", "p5"]}
    >>> found = split_as_published(people, {"b": ["p4"]}, Split(0, 0.3), 50)
    >>> [person for person, side in found.items() if side == "test"]
    ['p4']
    """
    counts = {domain: Counter(people) for domain, people in scans.items()}
    tested = {
        domain: Counter(paired.get(domain) or people) if index else Counter(people)
        for index, (domain, people) in enumerate(scans.items())
    }
    having = Counter(person for people in paired.values() for person in set(people))
    everybody = {person for people in counts.values() for person in people}
    order = sorted(everybody, key=lambda person: (-having[person], digest("split", person)))
    assigned: dict[str, str] = {}

    def spare(person: str) -> bool:
        """Whether every domain of the person keeps somebody else to be trained on."""
        return all(
            any(other != person and other not in assigned for other in people)
            for people in counts.values()
            if person in people
        )

    def fill(side: str, numbers: Counter[str], wanted: float, people: Sequence[str]) -> None:
        found = sum(number for person, number in numbers.items() if assigned.get(person) == side)
        for person in people:
            number = numbers[person]
            nearer = abs(found + number - wanted) < abs(found - wanted)
            needed = side == "test" and not found
            if number and person not in assigned and (nearer or needed) and spare(person):
                assigned[person] = side
                found += number

    # Sources before the target: whoever is paired is of the target, too.
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
    return {person: assigned.get(person, "train") for person in order}
