"""Check scans and outputs before a method is fitted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harmbench.errors import BadScanError, UserError
from harmbench.harmonization.scan import HarmonizeJob, foreign_output
from harmbench.harmonization.scan_covariates import require_values
from harmbench.preprocessing.masking import load_masked
from harmbench.preprocessing.nifti_read import check_headers
from harmbench.preprocessing.nifti_write import refuse_dicom_scan
from harmbench.util.progress import Progress


@dataclass(frozen=True)
class CheckedJobs:
    """The jobs of a folder that passed the check, and the number of those that did not."""

    jobs: Sequence[HarmonizeJob]
    refused: int


def check_job(job: HarmonizeJob) -> None:
    """Check what is known without reading voxels: headers of scan and mask, and the output.

    Raises
    ------
    BadScanError
        If the scan cannot be harmonised.
    """
    foreign = foreign_output(job)
    if foreign is not None:
        raise BadScanError(foreign)
    require_values(job.covariates)
    refuse_dicom_scan(job.path)
    check_headers(job.path, job.brain.mask)


def check_scan(job: HarmonizeJob, home: Path, *, fit_follows: bool) -> None:
    """Check a single scan; completely, by reading it and masking its brain, before a fit.

    A fit may take hours. Where none follows, the scan is read at once, and only once.

    Raises
    ------
    BadScanError
        If the scan cannot be harmonised.
    """
    check_job(job)
    if fit_follows and not job.outputs.scan.exists():
        load_masked(job.brain, home)


def check_folder(jobs: Sequence[HarmonizeJob], home: Path, progress: Progress) -> CheckedJobs:
    """Check the headers of all scans of a folder, and read scans until one is usable.

    Each scan that fails is logged.

    Raises
    ------
    UserError
        If no scan is usable.
    """
    passed, reason = [], ""
    for job in jobs:
        try:
            check_job(job)
            passed.append(job)
        except BadScanError as error:
            reason = str(error)
            progress.log(f"left out {job.name}: {reason}")
    for job in passed:
        try:
            if not job.outputs.scan.exists():
                load_masked(job.brain, home)
            break
        except BadScanError as error:
            reason = str(error)
    else:
        raise UserError(f"no scan of {len(jobs)} can be harmonised; the last one: {reason}")
    return CheckedJobs(passed, len(jobs) - len(passed))
