"""Splits by subject with sizes as close as possible to those of a paper."""

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

    Test subjects are assigned first, starting with those that have pairs in the most source
    domains: a domain with pairs is tested on them, so few subjects serve all domains.
    Validation starts with the fewest pairs. In each domain, the number of scans is as close
    to the published one as whole subjects allow, and never above the split's fraction of the
    domain. At least one subject remains for training.

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
    >>> splits = split_as_published(subjects, {"b": ["p4"]}, Split(validation=0, test=0.3), 50)
    >>> [subject for subject, split in splits.items() if split == "test"]
    ['p4']
    """
    counts = {domain: Counter(subjects) for domain, subjects in scans.items()}
    tested = {
        domain: Counter(paired.get(domain) or subjects) if index else Counter(subjects)
        for index, (domain, subjects) in enumerate(scans.items())
    }
    pairs = Counter(subject for subjects in paired.values() for subject in set(subjects))
    all_subjects = {subject for subjects in counts.values() for subject in subjects}
    order = sorted(all_subjects, key=lambda subject: (-pairs[subject], digest("split", subject)))
    assignment = _Assignment(counts)
    # Sources before the target: a paired subject is also one of the target.
    target, *sources = scans
    for domain in (*sources, target):
        numbers = tested[domain]
        most = split.test * sum(numbers.values())
        sizes = split.published.get(domain)
        size = min(most, sizes.test / n_slices) if sizes else most
        assignment.fill("test", numbers, size, order[::-1] if domain == target else order)
    for domain in scans:
        sizes = split.published.get(domain)
        most = split.validation * sum(counts[domain].values())
        size = min(most, sizes.validation / n_slices) if sizes else most
        assignment.fill("validation", counts[domain], size, order[::-1])
    return {subject: assignment.splits.get(subject, "train") for subject in order}


class _Assignment:
    """Subjects assigned to a split so far, given the scans of each subject by domain."""

    def __init__(self, counts: Mapping[str, Counter[str]]) -> None:
        self._counts = counts
        self.splits: dict[str, str] = {}

    def fill(self, split: str, numbers: Counter[str], size: float, subjects: Sequence[str]) -> None:
        """Assign subjects while this brings the number of scans closer to `size`."""
        total = sum(count for name, count in numbers.items() if self.splits.get(name) == split)
        for subject in subjects:
            number = numbers[subject]
            closer = abs(total + number - size) < abs(total - size)
            needed = split == "test" and not total
            available = number and subject not in self.splits
            if available and (closer or needed) and self._is_dispensable(subject):
                self.splits[subject] = split
                total += number

    def _is_dispensable(self, subject: str) -> bool:
        """Whether each of the subject's domains keeps another subject for training."""
        return all(
            any(other != subject and other not in self.splits for other in subjects)
            for subjects in self._counts.values()
            if subject in subjects
        )
