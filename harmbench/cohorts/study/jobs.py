"""The preprocessing jobs of a study, one per scan."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from harmbench.cohorts.bids.pairs import Pair, pair_up
from harmbench.cohorts.bids.scan import Scan
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


def begin_domains(scans: StudyScans, writer: CohortWriter) -> dict[str, Path]:
    """Create the arrays of every domain, and return their folders."""
    return {
        domain: writer.begin_domain(
            domain,
            len(domain_scans),
            labelled=any(
                file.labels is not None
                for scan in domain_scans
                for file in (scan, *scan.alternatives)
            ),
        )
        for domain, domain_scans in scans.domains.items()
    }


def plan_jobs(
    scans: StudyScans, digests: StudyDigests, folders: Mapping[str, Path]
) -> list[StudyJob]:
    """Return a job for each scan.

    Parameters
    ----------
    scans
        The scans of the study.
    digests
        Digests of their files, and the settings.
    folders
        The folder of each domain.
    """
    settings = digests.settings
    rule = settings.recipe.pairs
    pairs = {} if rule is None else pair_up(scans.domains, rule)
    jobs = []
    for domain, domain_scans in scans.domains.items():
        for row, scan in enumerate(domain_scans):
            pair = pairs.get(scan.path)
            job = ScanJob(
                source=digests.brain_source(scan),
                labels=scan.labels,
                tissues=settings.tissues,
                folder=folders[domain],
                row=row,
                grid=settings.grid,
                home=settings.home,
                normalization=settings.normalization,
                partner=None if pair is None else digests.brain_source(pair.partner),
                n4=settings.options.n4,
            )
            jobs.append(StudyJob(domain, scan, pair, job))
    return jobs
