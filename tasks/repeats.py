"""Further scans of a subject on the target scanner: repeats, and scans without noise."""

from __future__ import annotations

from harmbench import Cohort, ScanSet


def matched(one: ScanSet, other: ScanSet) -> tuple[ScanSet, ScanSet]:
    """Return the first scan of each subject of both sets, in one order."""
    first, second = (
        {subject: index for index, subject in reversed(list(enumerate(scans.subjects)))}
        for scans in (one, other)
    )
    subjects = [subject for subject in dict.fromkeys(one.subjects) if subject in second]
    return one.subset([first[p] for p in subjects]), other.subset([second[p] for p in subjects])


def scanned_twice(cohort: Cohort) -> tuple[ScanSet, ScanSet] | None:
    """Return two scans of each test subject with two scans on the target scanner, or None."""
    scans = cohort.scans(cohort.target, "test")
    if "repeat" in cohort.facts:
        first, second = matched(scans, cohort.scans(cohort.facts["repeat"], "test"))
    else:
        indices: dict[str, list[int]] = {}
        for index, subject in enumerate(scans.subjects):
            indices.setdefault(subject, []).append(index)
        twice = [of_subject[:2] for of_subject in indices.values() if len(of_subject) > 1]
        first, second = (scans.subset([pair[i] for pair in twice]) for i in (0, 1))
    return (first, second) if len(first) else None


def repeats_of(cohort: Cohort, references: ScanSet) -> tuple[ScanSet | None, str]:
    """Return a repeat of every reference: same subject, scanner and space, another session.

    Parameters
    ----------
    cohort
        The cohort.
    references
        Test scans of the target domain.

    Returns
    -------
    repeats
        In the order of `references`; None unless every reference has a repeat.
    reason
        Why there are none; empty if there are.
    """
    table = cohort.table
    domain = cohort.facts.get("repeat", cohort.target)
    if domain == cohort.target and (table["partner"] != "").any():
        # Each source scan is registered to its own partner, and no target scan to another one.
        return None, f"scans of one subject on '{cohort.target}' are not in one space"
    candidates = cohort.scans(domain, "test")
    rows = table[(table["domain"] == domain) & table["paired"]]
    same_space = set(zip(rows["subject"], rows["session"], strict=True))
    chosen: list[int] = []
    for reference in references.scans:
        chosen += [
            index
            for index, scan in enumerate(candidates.scans)
            if scan.subject == reference.subject
            and scan.key != reference.key
            and (scan.subject, scan.session) in same_space
        ][:1]
    if len(chosen) < len(references):
        return None, (
            f"only {len(chosen)} of {len(references)} test scans have a repeat on "
            f"'{cohort.target}' in the same space"
        )
    return candidates.subset(chosen), ""


def noise_free(cohort: Cohort, references: ScanSet) -> ScanSet | None:
    """Return each reference's scan without noise, in the same order, or None.

    Only a phantom has them: the domain that its fact `noise_free` names.
    """
    if "noise_free" not in cohort.facts:
        return None
    scans = cohort.scans(cohort.facts["noise_free"], "test")
    if not set(references.subjects) <= set(scans.subjects):
        return None
    return scans.subset([scans.subjects.index(subject) for subject in references.subjects])
