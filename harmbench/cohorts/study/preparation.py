"""Preprocessing of all scans of a study, in several processes."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from harmbench.cohorts.bids.pairs import Pair
from harmbench.cohorts.bids.scan import Scan
from harmbench.cohorts.study.digests import StudyDigests
from harmbench.cohorts.study.jobs import StudyJob, plan_jobs
from harmbench.cohorts.study.scans import StudyScans
from harmbench.errors import UserError
from harmbench.preprocessing.memory_need import PREPARE_BYTES_PER_VOXEL, memory_need
from harmbench.preprocessing.scan_job import PreparedScan, ScanJob, run_job
from harmbench.preprocessing.undefined_voxels import filled_note
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


@dataclass(frozen=True, kw_only=True)
class StudyResult:
    """The usable scans of a study, and the others.

    Attributes
    ----------
    scans
        The scans of the study; alternatives stand in place of damaged files.
    usable
        The usable scans, ordered by domain and row.
    left_out
        Why each other file cannot be used, by its name.
    heads
        Names of those left out because a brain mask is missing.
    tool_failures
        Names of those left out because the tool for brain extraction failed.
    """

    scans: StudyScans
    usable: Sequence[UsableScan]
    left_out: Mapping[str, str]
    heads: frozenset[str]
    tool_failures: frozenset[str]


def prepare_scans(
    digests: StudyDigests,
    folders: Mapping[str, Path],
    name_of: Callable[[Path], str],
    progress: Progress,
) -> StudyResult:
    """Prepare all scans, and log each one that cannot be used or was used in part.

    In place of a scan that cannot be used, the next T1w file of its session is prepared, and so
    are the scans that were registered to it.

    Parameters
    ----------
    digests
        The scans of the study, and the settings.
    folders
        The folder of each domain.
    name_of
        Returns the name of a file in messages.
    progress
        Shows the progress.
    """
    scans = digests.scans
    prepared: dict[ScanJob, PreparedScan] = {}
    left_out: dict[str, str] = {}
    heads: set[str] = set()
    tool_failures: set[str] = set()
    while True:
        jobs = plan_jobs(scans, digests, folders)
        new = [planned for planned in jobs if planned.job not in prepared]
        if not new:
            break
        for planned, result in _run(new, progress):
            prepared[planned.job] = result
            name = name_of(planned.scan.path)
            if result.error is None:
                _log_shortcomings(name, result, progress)
                continue
            left_out[name] = result.error
            if result.head:
                heads.add(name)
            if result.tool_failed:
                tool_failures.add(name)
            progress.log(f"left out {name}: {result.error}")
        scans = _with_alternatives(scans, {job.scan.path: prepared[job.job] for job in jobs})
    return StudyResult(
        scans=scans,
        usable=_usable(jobs, prepared),
        left_out=left_out,
        heads=frozenset(heads),
        tool_failures=frozenset(tool_failures),
    )


def _usable(jobs: Sequence[StudyJob], prepared: Mapping[ScanJob, PreparedScan]) -> list[UsableScan]:
    """Return the scans of the jobs that were prepared without an error."""
    usable = [
        UsableScan(
            domain=planned.domain,
            scan=planned.scan,
            job=planned.job,
            prepared=result,
            pair=planned.pair if result.pair_error is None else None,
        )
        for planned in jobs
        if (result := prepared[planned.job]).error is None
    ]
    return sorted(usable, key=lambda scan: (scan.domain, scan.job.row))


def _run(jobs: Sequence[StudyJob], progress: Progress) -> Iterator[tuple[StudyJob, PreparedScan]]:
    """Yield each job with its result as it finishes."""
    by_job = {planned.job: planned for planned in jobs}
    needs = [memory_need(job.source, PREPARE_BYTES_PER_VOXEL) for job in by_job]
    count = affordable(needs, processors(), progress)
    finished = in_processes(run_job, list(by_job), most=count)
    with contextlib.closing(finished):
        for job, result in progress.track(finished, "preparing scans", len(by_job)):
            yield by_job[job], result


def _with_alternatives(scans: StudyScans, results: Mapping[Path, PreparedScan]) -> StudyScans:
    """Return the scans with the next file of the session in place of each unusable one."""

    def usable_or_next(scan: Scan) -> Scan:
        if results[scan.path].error is None or not scan.alternatives:
            return scan
        following, *others = scan.alternatives
        choice = f"in place of {scan.path.name}, which cannot be used"
        return replace(following, alternatives=tuple(others), choice=choice)

    domains = {name: tuple(map(usable_or_next, group)) for name, group in scans.domains.items()}
    return replace(scans, domains=domains)


def _log_shortcomings(name: str, prepared: PreparedScan, progress: Progress) -> None:
    if prepared.label_error is not None:
        progress.log(f"left unlabelled {name}: {prepared.label_error}")
    if prepared.pair_error is not None:
        progress.log(f"left unpaired {name}: {prepared.pair_error}")
    for note in prepared.details["geometry"]:
        progress.log(f"look at {name}: {note}")
    filled = prepared.details["voxels_filled"]
    if filled:
        progress.log(f"look at {name}: {filled_note(filled)}")
    if prepared.details["doubtful"]:
        correlation = prepared.details["correlation"]
        progress.log(f"look at {name}: correlation {correlation:.2f} with the template is low")
    for doubt in prepared.details["mask_doubts"]:
        progress.log(f"look at {name}: {doubt}")


def check_subjects(
    result: StudyResult, name_of: Callable[[Path], str], *, fewest_subjects: int
) -> None:
    """Check that every domain has the subjects that a split needs.

    Parameters
    ----------
    result
        The prepared scans.
    name_of
        Returns the name of a file in messages.
    fewest_subjects
        The number of subjects that every domain needs, 1 or 2.

    Raises
    ------
    UserError
        If a domain has fewer usable subjects, with the reasons.
    """
    for domain, scans in result.scans.domains.items():
        subjects = {usable.scan.subject for usable in result.usable if usable.domain == domain}
        if len(subjects) < fewest_subjects:
            names = [name_of(scan.path) for scan in scans]
            left = (
                "without a subject"
                if fewest_subjects == 1
                else f"with {len(subjects)} of the two subjects that a split needs"
            )
            raise UserError(
                f"domain '{domain}' is left {left}, since these scans cannot be used: "
                f"{_reasons(names, result)}"
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
