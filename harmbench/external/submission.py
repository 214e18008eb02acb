"""A submission: its images matched to the test scans of tasks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from harmbench.contracts.task_data import TaskData
from harmbench.data.scan_set import ScanSet
from harmbench.data.volumes import VolumeSpace
from harmbench.errors import BadScanError, UserError
from harmbench.external.image_index import ImageIndex, places_of
from harmbench.external.image_names import inputs_name
from harmbench.external.submission_request import SubmissionRequest
from harmbench.external.submitted_volume import SubmittedVolume
from harmbench.util.hashing import digest, file_digest


@dataclass(frozen=True, kw_only=True)
class SubmissionConfig:
    """The settings of a submission's row.

    Attributes
    ----------
    author, date, reference
        As of `SubmissionRequest`.
    images
        Digest of the images of the task's test scans.
    """

    author: str
    date: str
    reference: str
    images: str


@dataclass(frozen=True, kw_only=True)
class SubmittedImages:
    """The images of one task.

    Attributes
    ----------
    volumes
        The images by place of the test scan.
    missing
        Test scans without an image, as "subject/session".
    digests
        Content hash of each image, by "subject/session".
    """

    volumes: Mapping[int, SubmittedVolume] = field(repr=False)
    missing: tuple[str, ...]
    digests: Mapping[str, str] = field(repr=False)

    def data(self, data: TaskData) -> TaskData:
        """Return the data of a task for the test scans with images, which are read instead."""
        chosen = data.of_test_scans(tuple(self.volumes))
        return replace(chosen, test=chosen.test.with_volumes(tuple(self.volumes.values())))

    def config(self, request: SubmissionRequest) -> SubmissionConfig:
        """Return the settings of the row."""
        return SubmissionConfig(
            author=request.author,
            date=request.date,
            reference=request.reference,
            images=digest(self.digests),
        )

    def record(self, request: SubmissionRequest) -> dict[str, Any]:
        """Return what is recorded with a result, as JSON types."""
        return {
            "author": request.author,
            "date": request.date,
            "reference": request.reference,
            "digest": digest(self.digests),
            "images": dict(self.digests),
            "missing": list(self.missing),
        }


class Submission:
    """The images of a submission, looked up task by task.

    Parameters
    ----------
    request
        The submission.

    Raises
    ------
    UserError
        If there is no image.
    """

    def __init__(self, request: SubmissionRequest) -> None:
        self.request = request
        self._index = ImageIndex.read(request.folder)
        self._digests: dict[Path, str] = {}
        # The input scans that each image was matched to.
        self._matched: dict[Path, str] = {}

    def of_task(self, task: str, scans: ScanSet) -> SubmittedImages:
        """Match the images to the test scans of a task.

        Raises
        ------
        UserError
            If several images match a scan, or an image matches scans of different inputs.
        """
        inputs = inputs_name(scans, task)
        volumes, missing, digests = {}, [], {}
        for place, scan in enumerate(scans.scans):
            acquired = scans.acquired_volume(place)
            path = self._index.find(
                places_of(task, inputs),
                scan.subject,
                scan.session,
                "" if acquired is None else acquired.file_name,
            )
            name = f"{scan.subject}/{scan.session}"
            if path is None:
                missing.append(name)
                continue
            self._require_own(path, inputs)
            digests[name] = self._digest(path)
            volumes[place] = SubmittedVolume(
                path=path,
                grid=scans.grid,
                _acquired=acquired,
                _prepared=scans.prepared_volume(place),
            )
        return SubmittedImages(volumes=volumes, missing=tuple(missing), digests=digests)

    def _require_own(self, path: Path, inputs: str) -> None:
        """Check that an image is used for one kind of inputs only."""
        other = self._matched.setdefault(path, inputs)
        if other != inputs:
            raise UserError(
                f"{path} matches the inputs '{other}' and '{inputs}'; put the images into the "
                f"folders {other}/ and {inputs}/ of '{self.request.folder}', or score the tasks "
                "one by one"
            )

    def _digest(self, path: Path) -> str:
        if path not in self._digests:
            self._digests[path] = file_digest(path)
        return self._digests[path]


def fault(image: SubmittedVolume) -> str | None:
    """Return why an image is wrong, with its path; None if it is right."""
    try:
        image.open(VolumeSpace())
    except BadScanError as error:
        return f"{image.path}: {str(error).removeprefix(image.path.name).strip()}"
    return None
