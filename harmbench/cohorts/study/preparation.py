"""Preprocessing of all scans of a study, in several processes."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harmbench.cohorts.bids.layout import Scan
from harmbench.cohorts.bids.pairs import Pair
from harmbench.cohorts.study.jobs import StudyJob
from harmbench.errors import UserError
from harmbench.preprocessing.memory_need import PREPARE_BYTES_PER_VOXEL, memory_need
from harmbench.preprocessing.scan_job import PreparedScan, ScanJob, run_job
from harmbench.util.available_memory import affordable
from harmbench.util.processes import in_processes, processors
from harmbench.util.progress import Progress

_MOST_REASONS = 3  # in one error message


@dataclass(frozen=True, kw_only=True)
class UsableScan:
    """A scan that was prepared without an error.

    Attributes
    ----------
    domain, scan, job
        As in `StudyJob`.
    prepared
        The result of the job.
    pair
        The target scan that it was registered to, or None.
    """

    domain: str
    scan: Scan
    job: ScanJob
    prepared: PreparedScan
    pair: Pair | None


@dataclass(frozen=True)
class StudyResult:
    """The usable scans of a study, and the others.

    Attributes
    ----------
    usable
        The usable scans, ordered by domain and row.
    left_out
        Why each other scan cannot be used, by its name.
    heads
        Names of those left out because a brain mask is missing.
    """

    usable: Sequence[UsableScan]
    left_out: Mapping[str, str]
    heads: frozenset[str]


def prepare_scans(
    jobs: Sequence[StudyJob], name_of: Callable[[Path], str], progress: Progress
) -> StudyResult:
    """Run all jobs, and log each scan that cannot be used or was used in part.

    Parameters
    ----------
    jobs
        The jobs.
    name_of
        Returns the name of a file in messages.
    progress
        Shows the progress.
    """
    by_job = {planned.job: planned for planned in jobs}
    usable: list[UsableScan] = []
    left_out: dict[str, str] = {}
    heads: set[str] = set()
    needs = [memory_need(job.source, PREPARE_BYTES_PER_VOXEL) for job in by_job]
    count = affordable(needs, processors(), progress)
    finished = in_processes(run_job, list(by_job), most=count)
    with contextlib.closing(finished):
        for job, prepared in progress.track(finished, "preparing scans", len(by_job)):
            planned = by_job[job]
            name = name_of(planned.scan.path)
            if prepared.error is not None:
                left_out[name] = prepared.error
                if prepared.head:
                    heads.add(name)
                progress.log(f"left out {name}: {prepared.error}")
                continue
            _log_shortcomings(name, prepared, progress)
            usable.append(
                UsableScan(
                    domain=planned.domain,
                    scan=planned.scan,
                    job=job,
                    prepared=prepared,
                    pair=planned.pair if prepared.pair_error is None else None,
                )
            )
    usable.sort(key=lambda scan: (scan.domain, scan.job.row))
    return StudyResult(usable, left_out, frozenset(heads))


def _log_shortcomings(name: str, prepared: PreparedScan, progress: Progress) -> None:
    if prepared.label_error is not None:
        progress.log(f"left unlabelled {name}: {prepared.label_error}")
    if prepared.pair_error is not None:
        progress.log(f"left unpaired {name}: {prepared.pair_error}")
    if prepared.details["doubtful"]:
        correlation = prepared.details["correlation"]
        progress.log(f"look at {name}: correlation {correlation:.2f} with the template is low")


def check_subjects(domains: Mapping[str, Sequence[str]], result: StudyResult) -> None:
    """Check that every domain has the two subjects that a split needs.

    Parameters
    ----------
    domains
        Names of all scans of each domain, usable or not.
    result
        The prepared scans.

    Raises
    ------
    UserError
        If a domain has fewer usable subjects, with the reasons.
    """
    for domain, names in domains.items():
        subjects = {usable.scan.subject for usable in result.usable if usable.domain == domain}
        if len(subjects) < 2:
            raise UserError(
                f"domain '{domain}' is left with {len(subjects)} of the two subjects that a split "
                f"needs, since these scans cannot be used: {_reasons(names, result)}"
            )


def _reasons(names: Sequence[str], result: StudyResult) -> str:
    """Join the reasons of the scans that cannot be used."""
    # The reason of heads is long and always the same: give it once.
    repeated = [name for name in names if name in result.heads][1:]
    reasons = [
        result.left_out[name] for name in names if name in result.left_out and name not in repeated
    ]
    if repeated:
        reasons.append(f"and {len(repeated)} more like it")
    rest = len(reasons) - _MOST_REASONS
    return "; ".join(reasons[:_MOST_REASONS]) + (f" and {rest} more" if rest > 0 else "")
