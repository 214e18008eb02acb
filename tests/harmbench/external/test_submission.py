from __future__ import annotations

import pytest

from harmbench.contracts.task_data import TaskData
from harmbench.data.volumes import VolumeSpace
from harmbench.errors import UserError
from harmbench.external.image_names import image_path
from harmbench.external.submission import Submission, fault
from harmbench.external.submission_request import SubmissionRequest
from harmbench.preprocessing.nifti_create import nifti_file
from harmbench.testing.tiny import tiny_cohort


@pytest.fixture
def data():
    cohort = tiny_cohort()
    test, references = cohort.pairs("domain1", "test")
    target = cohort.scans("target", "train")
    return TaskData(target=target, validation=target, test=test, references=references)


@pytest.fixture
def folder(data, tmp_path):
    """Images of all test scans."""
    for place, scan in enumerate(data.test.scans):
        volume = data.test.prepared_volume(place).open(VolumeSpace())
        path = tmp_path / image_path(scan.subject, scan.session)
        path.parent.mkdir(parents=True)
        path.write_bytes(nifti_file(volume.image, volume.affine))
    return tmp_path


def of(folder):
    return Submission(SubmissionRequest(folder=folder, name="tool", author="A"))


def test_all_images_are_matched_and_right(folder, data) -> None:
    images = of(folder).of_task("domain1", data.test)
    assert not images.missing
    assert list(images.digests) == [f"{scan.subject}/{scan.session}" for scan in data.test.scans]
    assert not any(fault(volume) for volume in images.volumes.values())
    chosen = images.data(data)
    assert chosen.test.digest == data.test.digest
    assert chosen.test.no_volumes(VolumeSpace(head=True)) is None


def test_a_missing_image_leaves_its_scan_and_its_truth_out(folder, data) -> None:
    first = data.test.scans[0]
    (folder / image_path(first.subject, first.session)).unlink()
    images = of(folder).of_task("domain1", data.test)
    assert images.missing == (f"{first.subject}/{first.session}",)
    chosen = images.data(data)
    assert chosen.test.subjects == chosen.references.subjects == data.test.subjects[1:]
    record = images.record(of(folder).request)
    assert record["missing"] == list(images.missing)
    assert record["author"] == "A"


def test_the_settings_change_with_the_images(folder, data) -> None:
    submission = of(folder)
    first = submission.of_task("domain1", data.test).config(submission.request)
    path = next(folder.rglob("*_T1w.nii.gz"))
    path.write_bytes(path.read_bytes() + b" ")
    submission = of(folder)
    assert submission.of_task("domain1", data.test).config(submission.request) != first


def test_a_fault_names_the_path(folder, data) -> None:
    path = next(iter(of(folder).of_task("domain1", data.test).volumes.values())).path
    path.write_bytes(b"no image")
    (volume, *_) = of(folder).of_task("domain1", data.test).volumes.values()
    assert fault(volume).startswith(f"{path}: is not a gzip file")


def test_an_image_is_not_used_for_two_kinds_of_inputs(folder, data) -> None:
    class Same:
        digest = "same"

        def __call__(self, images, masks, scan, index):
            return images

    submission = of(folder)
    submission.of_task("domain1", data.test)
    with pytest.raises(UserError, match="matches the inputs 'domain1' and 'sim-same'"):
        submission.of_task("sim-same", data.test.with_transform(Same()))
