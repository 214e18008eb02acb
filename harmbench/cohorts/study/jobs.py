"""The preprocessing jobs of a study, one per scan."""

from __future__ import annotations

from dataclasses import dataclass

from harmbench.cohorts.bids.layout import Scan
from harmbench.cohorts.bids.pairs import Pair, pair_up
from harmbench.cohorts.study.digests import StudyDigests
from harmbench.cohorts.study.scans import StudyScans
from harmbench.data.cohort_writer import CohortWriter
from harmbench.preprocessing.scan_job import ScanJob


@dataclass(frozen=True)
class StudyJob:
    """A scan to prepare.

    Attributes
    ----------
    domain, scan
        The scan and its domain.
    pair
        The target scan that it is registered to, or None.
    job
        Input files, settings and destination.
    """

    domain: str
    scan: Scan
    pair: Pair | None
    job: ScanJob


def plan_jobs(scans: StudyScans, digests: StudyDigests, writer: CohortWriter) -> list[StudyJob]:
    """Create the arrays of every domain, and return a job for each scan."""
    settings = digests.settings
    rule = settings.recipe.pairs
    pairs = {} if rule is None else pair_up(scans.domains, rule)
    jobs = []
    for domain, domain_scans in scans.domains.items():
        labelled = any(scan.labels is not None for scan in domain_scans)
        folder = writer.begin_domain(domain, len(domain_scans), labelled=labelled)
        for row, scan in enumerate(domain_scans):
            pair = pairs.get(scan.path)
            job = ScanJob(
                source=digests.brain_source(scan),
                labels=scan.labels,
                tissues=settings.tissues,
                folder=folder,
                row=row,
                grid=settings.grid,
                home=settings.home,
                normalization=settings.normalization,
                partner=None if pair is None else digests.brain_source(pair.partner),
                n4=settings.options.n4,
            )
            jobs.append(StudyJob(domain, scan, pair, job))
    return jobs
