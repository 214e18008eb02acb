"""Harmonise a folder of scans into a BIDS derivative."""

from __future__ import annotations

import contextlib
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

from harmbench.cohorts.bids.layout import brain_mask
from harmbench.errors import UserError
from harmbench.harmonization.derivative import describe
from harmbench.harmonization.harmonizer import Harmonizer
from harmbench.harmonization.output_paths import OutputPaths
from harmbench.harmonization.precheck import CheckedJobs
from harmbench.harmonization.scan import (
    HarmonizedScan,
    HarmonizeJob,
    HarmonizeOptions,
    finished_result,
    harmonize_file,
    names_of,
    output_lock,
)
from harmbench.harmonization.scan_covariates import folder_covariates
from harmbench.preprocessing.brain_tools import find_extractor
from harmbench.preprocessing.file_names import is_volume, refuse_dicom, with_ending
from harmbench.preprocessing.masking import BrainSource
from harmbench.preprocessing.memory_need import HARMONIZE_BYTES_PER_VOXEL, memory_need
from harmbench.util.available_memory import affordable
from harmbench.util.file_digests import remembered_digests
from harmbench.util.processes import in_processes, processors
from harmbench.util.progress import Progress

_T1W = re.compile(r"_T1w\.nii(\.gz)?$")
_NO_RAW_DATA = ("derivatives", "sourcedata")


@dataclass(frozen=True)
class FolderSummary:
    """Numbers of scans: all, newly harmonised, with existing outputs; the rest failed."""

    scans: int
    harmonized: int
    existing: int

    @property
    def failed(self) -> int:
        """Number of scans that could not be harmonised."""
        return self.scans - self.harmonized - self.existing


def harmonize_folder(
    folder: Path,
    out: Path,
    checked: CheckedJobs,
    harmonizer: Harmonizer,
    progress: Progress,
    *,
    force: bool = False,
    processes: int | None = None,
) -> FolderSummary:
    """Harmonise all scans of a folder; scans with outputs are skipped, failures are logged.

    Parameters
    ----------
    folder, out
        Folder of the scans; folder of the derivative.
    checked
        The jobs of the folder, after `check_folder`.
    harmonizer
        The fitted method.
    progress
        Shows the number of finished scans, failures and warnings.
    force
        Whether outputs of another fit are replaced.
    processes
        Number of processes; None for `default_processes`. Fewer run if memory is short.

    Raises
    ------
    UserError
        If the output folder cannot be used.
    """
    jobs = checked.jobs
    with output_lock(out, harmonizer.home, progress):
        describe(out, folder, harmonizer, force=force)
        # Look for existing outputs here: no process is started where nothing is to do.
        existing = [(job, finished_result(job, harmonizer)) for job in jobs]
        finished = [(job, result) for job, result in existing if result is not None]
        remaining = [job for job, result in existing if result is None]
        needs = [memory_need(job.brain, HARMONIZE_BYTES_PER_VOXEL) for job in remaining]
        count = affordable(needs, processes or default_processes(harmonizer.device), progress)
        computed = in_processes(harmonize_file, remaining, harmonizer, most=count)
        with contextlib.closing(computed):
            results = progress.track(chain(finished, computed), "harmonising scans", len(jobs))
            counts = Counter(_logged(job, result, progress) for job, result in results)
    return FolderSummary(len(jobs) + checked.refused, counts["harmonised"], counts["existing"])


def default_processes(device: str) -> int:
    """Return the number of processes for a device: one per processor, or one alone on a GPU.

    Each process keeps its own model on the GPU, whose memory `affordable` does not check.
    """
    return processors() if device == "cpu" else 1


def _logged(job: HarmonizeJob, result: HarmonizedScan, progress: Progress) -> str:
    """Log the result of a job, and return its category."""
    if result.error is not None:
        progress.log(f"left out {job.name}: {result.error}")
        return "failed"
    if not result.existing:
        progress.log(f"harmonised {job.name}")
    if result.warning is not None:
        progress.log(f"warning: {job.name}: {result.warning}")
    return "existing" if result.existing else "harmonised"


def job_of(
    scan: Path,
    mask: Path | None,
    outputs: OutputPaths,
    home: Path,
    options: HarmonizeOptions,
    covariates: Mapping[str, str],
) -> HarmonizeJob:
    """Return the job of a single scan; `mask` is its brain mask or None."""
    digests = remembered_digests([scan] if mask is None else [scan, mask], home)
    job = _job(scan, mask, scan.name, outputs, digests, options)
    return replace(job, covariates=covariates)


def jobs_in(
    folder: Path,
    out: Path,
    home: Path,
    options: HarmonizeOptions,
    declared: Sequence[str],
    *,
    figures: bool,
) -> list[HarmonizeJob]:
    """List the jobs of a folder of scans.

    If the folder or a subfolder has files with BIDS names, `*_T1w.nii[.gz]`, only those are
    harmonised and the outputs have names of a BIDS derivative. Otherwise every image file is
    harmonised and keeps its name; formats other than NIfTI are written as `.nii.gz`.
    `derivatives`, `sourcedata` and hidden folders are skipped, but brain masks are looked up in
    `derivatives` as for a cohort. The `declared` covariates are those of the folder's tables.

    Raises
    ------
    UserError
        If the folder has no scans, it is the output folder, two outputs have one name, or a table
        is wrong.
    """
    root, out = folder.resolve(), out.resolve()
    if root == out:
        raise UserError(f"'{folder}' holds the scans themselves; choose another --output folder")
    volumes = sorted(path for path in _files(root, out) if is_volume(path))
    scans = [path for path in volumes if _T1W.search(path.name)] or volumes
    if not scans:
        refuse_dicom(root)
        endings = ".nii, .nii.gz, .nii.bz2, .mgz, .mgh or .img"
        raise UserError(f"'{folder}' has no image file ({endings})")
    masks = {path: brain_mask(root, path) for path in scans}
    inputs = [*scans, *(mask for mask in masks.values() if mask is not None)]
    digests = remembered_digests(inputs, home)
    covariates = folder_covariates(root, {path: names_of(path) for path in scans}, declared)
    jobs = []
    for path in scans:
        relative = path.relative_to(root)
        outputs = _outputs(out / relative.parent, path.name, figures)
        source = f"bids:raw:{relative.as_posix()}"
        job = _job(path, masks[path], source, outputs, digests, options)
        jobs.append(replace(job, covariates=covariates[path]))
    _check_names(jobs)
    return jobs


def _job(
    scan: Path,
    mask: Path | None,
    source: str,
    outputs: OutputPaths,
    digests: Mapping[Path, str | None],
    options: HarmonizeOptions,
) -> HarmonizeJob:
    prepare_options = options.prepare_options
    tool = find_extractor(prepare_options.brain_extraction)
    brain = BrainSource.of(scan, mask, digests, tool, heads=prepare_options.heads)
    return HarmonizeJob(
        path=scan,
        content=digests[scan],
        brain=brain,
        source=source,
        outputs=outputs,
        options=options,
    )


def _files(root: Path, out: Path) -> Iterator[Path]:
    for path in root.iterdir():
        if path.name.startswith(".") or path == out:
            continue
        if not path.is_dir():
            yield path
        elif path.name not in _NO_RAW_DATA:
            yield from _files(path, out)


def _outputs(folder: Path, name: str, figures: bool) -> OutputPaths:
    stem = with_ending(Path(name), "").name
    # Other formats are written as NIfTI.
    ending = ".nii" if name.endswith(".nii") else ".nii.gz"
    mask = f"{stem}_mask"
    if _T1W.search(name):
        # BIDS allows one `desc` entity: put an earlier one in front of ours.
        earlier = re.search(r"_desc-([^_]+)", stem)
        entity = f"_desc-{earlier[1] if earlier else ''}harmonized"
        others = re.sub(r"_desc-[^_]+", "", stem).removesuffix("_T1w")
        stem, mask = f"{others}{entity}_T1w", f"{others}{entity}_mask"
    figure = folder / f"{stem}.png" if figures else None
    return OutputPaths(folder / f"{stem}{ending}", folder / f"{mask}.nii.gz", figure)


def _check_names(jobs: list[HarmonizeJob]) -> None:
    taken: dict[Path, Path] = {}
    for job in jobs:
        outputs = job.outputs
        for output in (outputs.scan, outputs.sidecar, outputs.mask):
            if output is not None and taken.setdefault(output, job.path) != job.path:
                raise UserError(
                    f"the outputs of {taken[output].name} and {job.path.name} would both be "
                    f"called {output.name}; rename one of the two scans"
                )
