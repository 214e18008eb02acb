"""Which scans of a folder are harmonised, where the results go, and what describes them all."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from harmbench.cohorts.bids.layout import brain_mask
from harmbench.errors import UserError
from harmbench.harmonization.harmonizer import Harmonizer
from harmbench.harmonization.scan import HarmonizeJob, HarmonizeOptions, OutputPaths
from harmbench.preprocessing.brain import BrainSource
from harmbench.preprocessing.brain_tools import find_extractor
from harmbench.preprocessing.file_names import beside, refuse_dicom
from harmbench.util.file_digests import remembered_digests
from harmbench.util.files import atomic_write_bytes

_VOLUME = re.compile(r"\.nii(\.gz)?$")
_T1W = re.compile(r"_T1w\.nii(\.gz)?$")
_NO_RAW_DATA = ("derivatives", "sourcedata")
_DESCRIPTION = "dataset_description.json"


def job_of(
    scan: Path, mask: Path | None, outputs: OutputPaths, home: Path, options: HarmonizeOptions
) -> HarmonizeJob:
    """Return what there is to do for a single scan, with a mask of its brain or None."""
    digests = remembered_digests([scan] if mask is None else [scan, mask], home)
    return _errand(scan, mask, str(scan), outputs, digests, options)


def jobs_in(
    folder: Path, out: Path, home: Path, options: HarmonizeOptions, *, figures: bool
) -> list[HarmonizeJob]:
    """List what there is to do for a folder of scans.

    If any file of the folder or of one within has a name as BIDS gives it, `*_T1w.nii[.gz]`,
    it is those that are harmonised, under names of a BIDS derivative; else every NIfTI file,
    under the name that it has. `derivatives`, `sourcedata` and hidden folders are passed
    over, but brain masks are found among derivatives as for a cohort.

    Raises
    ------
    UserError
        If there is nothing to do, or results would go into the folder of the scans itself.
    """
    root, out = folder.resolve(), out.resolve()
    if root == out:
        raise UserError(f"'{folder}' holds the scans themselves; give another folder to write to")
    volumes = sorted(path for path in _files(root, out) if _VOLUME.search(path.name))
    scans = [path for path in volumes if _T1W.search(path.name)] or volumes
    if not scans:
        refuse_dicom(root)
        raise UserError(f"'{folder}' has no NIfTI file (.nii or .nii.gz)")
    masks = {path: brain_mask(root, path) for path in scans}
    inputs = [*scans, *(mask for mask in masks.values() if mask is not None)]
    digests = remembered_digests(inputs, home)
    jobs = []
    for path in scans:
        relative = path.relative_to(root)
        outputs = _outputs(out / relative.parent, path.name, figures)
        source = f"bids:raw:{relative.as_posix()}"
        jobs.append(_errand(path, masks[path], source, outputs, digests, options))
    _check_names(jobs)
    return jobs


def _errand(
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
    return HarmonizeJob(scan, digests[scan], brain, source, outputs, options)


def _files(root: Path, out: Path) -> Iterator[Path]:
    for path in root.iterdir():
        if path.name.startswith(".") or path == out:
            continue
        if not path.is_dir():
            yield path
        elif path.name not in _NO_RAW_DATA:
            yield from _files(path, out)


def _outputs(folder: Path, name: str, figures: bool) -> OutputPaths:
    stem = beside(Path(name), "").name
    ending = name.removeprefix(stem)
    mask = f"{stem}_mask"
    if _T1W.search(name):
        # BIDS has room for one description: an earlier one goes into ours.
        earlier = re.search(r"_desc-([^_]+)", stem)
        described = f"_desc-{earlier[1] if earlier else ''}harmonized"
        subject = re.sub(r"_desc-[^_]+", "", stem).removesuffix("_T1w")
        stem, mask = f"{subject}{described}_T1w", f"{subject}{described}_mask"
    figure = folder / f"{stem}.png" if figures else None
    return OutputPaths(folder / f"{stem}{ending}", folder / f"{mask}.nii.gz", figure)


def _check_names(jobs: list[HarmonizeJob]) -> None:
    taken: dict[Path, Path] = {}
    for job in jobs:
        outputs = job.outputs
        for output in (outputs.scan, outputs.sidecar, outputs.mask):
            if output is not None and taken.setdefault(output, job.path) != job.path:
                raise UserError(
                    f"the results of {taken[output].name} and {job.path.name} would have the "
                    f"same name, {output.name}; rename one of the two"
                )


def describe(out: Path, folder: Path, harmonizer: Harmonizer, *, force: bool) -> None:
    """Write the `dataset_description.json` of the derivative, if it is not there.

    Raises
    ------
    UserError
        If the folder is another data set, or was harmonised otherwise and `force` is not given.
    """
    path = out / _DESCRIPTION
    wanted = _description(folder, harmonizer)
    if path.exists():
        try:
            there: dict[str, Any] = json.loads(path.read_text())
            made = there["GeneratedBy"][0]
            ours = made["Name"] == "harmbench"
        except (OSError, ValueError, KeyError, IndexError, TypeError):
            made, ours = {}, False
        if not ours:
            raise UserError(f"'{out}' is a data set that harmbench did not make; choose another")
        if made.get("Harmonizer") == harmonizer.key:
            return
        if not force:
            raise UserError(
                f"'{out}' was harmonised otherwise: {made.get('Description')}; choose another "
                "folder, or give --force to replace what is there"
            )
    try:
        atomic_write_bytes(path, json.dumps(wanted, indent=1).encode())
    except OSError as error:
        raise UserError(f"'{out}' cannot be written to: {error.strerror}") from None


def _description(folder: Path, harmonizer: Harmonizer) -> dict[str, Any]:
    raw = folder.resolve().as_uri()
    return {
        "Name": f"T1w scans harmonised by {harmonizer.title}",
        "BIDSVersion": "1.10.0",
        "DatasetType": "derivative",
        "GeneratedBy": [
            {
                "Name": "harmbench",
                "Version": version("harmbench"),
                "Description": f"{harmonizer.title}, fit {harmonizer.fit or 'none'}",
                "Harmonizer": harmonizer.key,
                **harmonizer.record,
            }
        ],
        "SourceDatasets": [{"URL": raw}],
        "DatasetLinks": {"raw": raw},
    }
