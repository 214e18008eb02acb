"""The folders that a command receives: its scans as NIfTI files, under speaking names."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from harmbench.contracts.fit_data import FitData
from harmbench.contracts.fit_progress import FitProgress
from harmbench.contracts.needs import Needs
from harmbench.data.scan_set import ScanSet
from harmbench.data.volumes import Frame, VolumeScan, VolumeSpace
from harmbench.errors import UserError
from harmbench.preprocessing.nifti_create import nifti_file


def file_names(names: Iterable[tuple[str, str]]) -> list[str]:
    """Return a file name for each subject and session, unique in the list.

    Examples
    --------
    >>> file_names([("01", "a b"), ("01", "ab"), ("02", "")])
    ['sub-01_ses-ab_T1w.nii.gz', 'sub-01_ses-ab_run-2_T1w.nii.gz', 'sub-02_T1w.nii.gz']
    """
    result = []
    count: Counter[str] = Counter()
    for subject, session in names:
        stem = f"sub-{_label(subject)}" + (f"_ses-{_label(session)}" if session else "")
        count[stem] += 1
        run = f"_run-{count[stem]}" if count[stem] > 1 else ""
        result.append(f"{stem}{run}_T1w.nii.gz")
    return result


def _label(name: str) -> str:
    return re.sub("[^A-Za-z0-9]", "", name) or "x"


def write_scan(scan: VolumeScan, image: Path, mask: Path, space: VolumeSpace) -> None:
    """Write a scan and its brain mask."""
    in_mni = space.frame is Frame.TEMPLATE
    for path, voxels in ((image, scan.image.astype(np.float32, copy=False)), (mask, scan.mask)):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(nifti_file(voxels, scan.affine, in_mni=in_mni))


def write_training_scans(
    data: FitData,
    needs: Needs,
    space: VolumeSpace,
    images: Path,
    masks: Path,
    progress: FitProgress,
) -> None:
    """Write the training scans that a method is entitled to; one is in memory at a time.

    Parameters
    ----------
    data, needs
        The data, and the part of it that the method declares.
    space
        The space of the volumes.
    images, masks
        Folders with equal content: `sites/DOMAIN/`, or `target/`, `validation/`, and by the needs
        `source/`, or `pairs/source/` and `pairs/target/` with equal file names.
    progress
        Shows the number of scans.

    Raises
    ------
    UserError
        If the scans cannot be read as volumes of the space.
    """
    for folder, scans in _training_scans(data, needs).items():
        reason = scans.no_volumes(space)
        if reason is not None:
            raise UserError(f"the scans of '{scans.domain}' {reason}; the command needs {space}")
        # The two scans of a pair may have different sessions, and have equal names here.
        named = data.pairs[0] if folder.startswith("pairs/") else scans
        names = file_names((scan.subject, scan.session) for scan in named.scans)
        volumes = progress.track(scans.volumes(space), f"writing {folder}", len(scans))
        for name, scan in zip(names, volumes, strict=True):
            write_scan(scan, images / folder / name, masks / folder / name, space)


def _training_scans(data: FitData, needs: Needs) -> Mapping[str, ScanSet]:
    if needs is Needs.SITES:
        return {f"sites/{domain}": scans for domain, scans in data.sites.items()}
    folders = {"target": data.target, "validation": data.validation}
    if needs is Needs.UNPAIRED:
        folders["source"] = data.source
    if needs is Needs.PAIRED:
        source, target = data.pairs
        folders |= {"pairs/source": source, "pairs/target": target}
    return folders
