"""Training scans of all sites of a cohort, of which no two share a subject."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from harmbench.data.cohort import Cohort
from harmbench.data.scan_set import ScanSet
from harmbench.util.hashing import digest


def assign_sites(domains_of: Mapping[str, Collection[str]]) -> dict[str, str]:
    """Assign every subject to one of the sites where it was scanned.

    Subjects that were scanned at fewer sites come first, and among these the order is that of a
    hash of their names. Each goes to the site that has the fewest subjects so far; of two such
    sites, to the first by name. So the result does not depend on the order of the subjects.

    Parameters
    ----------
    domains_of
        The sites of each subject.

    Returns
    -------
    dict
        The site by subject.

    Examples
    --------
    >>> assigned = assign_sites({"p1": ["a", "b"], "p2": ["a", "b"], "p3": ["a"]})
    >>> assigned["p3"], sorted(assigned.values())
    ('a', ['a', 'a', 'b'])
    """
    counts = dict.fromkeys(sorted({name for names in domains_of.values() for name in names}), 0)
    assigned = {}
    ordered = sorted(
        domains_of, key=lambda subject: (len(set(domains_of[subject])), digest("site", subject))
    )
    for subject in ordered:
        site = min(sorted(set(domains_of[subject])), key=counts.__getitem__)
        assigned[subject] = site
        counts[site] += 1
    return assigned


def training_sites(cohort: Cohort, without: Collection[str] = ()) -> Mapping[str, ScanSet]:
    """Return the training scans of every domain of a cohort, by domain, the target's first.

    A subject that was scanned in several domains is assigned to one of them by `assign_sites`,
    and its scans of the other domains are left out: no subject links two domains. The result
    depends on the cohort, its split and its fold only.

    Parameters
    ----------
    cohort
        The cohort.
    without
        Domains to leave out; their subjects are assigned to the others where they were scanned.
    """
    names = [name for name in (cohort.target, *cohort.sources) if name not in without]
    scan_sets = {name: cohort.scans(name, "train") for name in names}
    domains_of: dict[str, list[str]] = {}
    for name, scans in scan_sets.items():
        for subject in dict.fromkeys(scans.subjects):
            domains_of.setdefault(subject, []).append(name)
    assigned = assign_sites(domains_of)
    chosen = {
        name: scans.subset(
            [place for place, subject in enumerate(scans.subjects) if assigned[subject] == name]
        )
        for name, scans in scan_sets.items()
    }
    return {name: scans for name, scans in chosen.items() if len(scans)}
