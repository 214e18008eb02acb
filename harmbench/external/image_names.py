"""Names of the files that are exported for external tools, and found again in a submission."""

from __future__ import annotations

import re
from pathlib import Path

from harmbench.data.scan_set import ScanSet

SUFFIX = "T1w"
TEST, TRAIN = "test", "train"
_IMAGE = re.compile(rf"(?P<entities>(?:[A-Za-z]+-[^_]+_)+){SUFFIX}\.nii(\.gz)?")
# Entities of a derivative that say how an image was made, not of which scan.
_OF_DERIVATIVES = ("desc", "space", "res", "den")


def label(name: str) -> str:
    """Return a name as the value of a BIDS entity: letters and digits only.

    Examples
    --------
    >>> label("OAS1_0001")
    'OAS10001'
    """
    return re.sub(r"[^0-9A-Za-z]", "", name)


def image_path(subject: str, session: str, suffix: str = SUFFIX) -> Path:
    """Return the path of a scan's file in a BIDS folder.

    Examples
    --------
    >>> image_path("01", "2").as_posix()
    'sub-01/ses-2/anat/sub-01_ses-2_T1w.nii.gz'
    """
    sub, ses = f"sub-{label(subject)}", f"ses-{label(session)}"
    return Path(sub, ses, "anat", f"{sub}_{ses}_{suffix}.nii.gz")


def inputs_name(scans: ScanSet, task: str) -> str:
    """Return the name of the folder of a task's input scans: the domain, or the task if shifted.

    Tasks with the same source domain share their input scans.
    """
    return task if scans.is_shifted else scans.domain


def entities(name: str) -> dict[str, str] | None:
    """Return the entities of a file name such as `sub-01_ses-2_T1w.nii.gz`; None without.

    Entities that describe a derivative, such as `desc`, are left out.
    """
    match = _IMAGE.fullmatch(name)
    if match is None:
        return None
    pairs = (part.split("-", 1) for part in match["entities"].rstrip("_").split("_"))
    found = {key: value for key, value in pairs if key not in _OF_DERIVATIVES}
    return found if "sub" in found else None
