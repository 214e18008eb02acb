from __future__ import annotations

import numpy as np
import pytest
import torch

from harmbench.data.volumes import OpenVolume, VolumeSource, VolumeSpace
from harmbench.errors import BadScanError
from harmbench.execution.compute.apply import beside_slices, harmonized_by
from harmbench.external.submitted_volume import SubmissionRow, SubmittedVolume
from harmbench.preprocessing.nifti_create import nifti_file
from harmbench.testing.tiny import TINY, tiny_cohort

AFFINE = np.diag([2.0, 3.0, 4.0, 1.0])


class InMemory(VolumeSource):
    """A scan with other voxels than the grid, which is mapped to it by taking every value."""

    has_head = False

    def __init__(self, scans) -> None:
        slices, masks = scans.images[0].numpy(), scans.masks[0].numpy()
        self.image, self.mask = (array.transpose(2, 1, 0) for array in (slices, masks))

    def open(self, space):
        return OpenVolume(
            image=self.image.copy(),
            mask=self.mask.copy(),
            affine=AFFINE,
            to_mni=np.eye(4),
            to_grid=lambda output: output.transpose(2, 1, 0),
        )


@pytest.fixture
def scans():
    return tiny_cohort().scans("domain1", "test")


def submitted(scans, path, acquired=None):
    return SubmittedVolume(
        path=path, grid=scans.grid, _acquired=acquired, _prepared=scans.prepared_volume(0)
    )


def written(path, image, affine):
    path.write_bytes(nifti_file(image.astype(np.float32), affine))
    return path


def test_an_image_on_the_grid_or_in_the_acquired_space_is_mapped_alike(scans, tmp_path) -> None:
    acquired = InMemory(scans.load([0]))
    prepared = scans.prepared_volume(0).open(VolumeSpace())
    results = []
    for name, image, affine in (
        ("grid.nii.gz", prepared.image, prepared.affine),
        ("acquired.nii.gz", acquired.image, AFFINE),
    ):
        path = written(tmp_path / name, image**0.8, affine)
        volume = submitted(scans, path, acquired).open(VolumeSpace())
        results.append(volume.to_grid(volume.image))
    np.testing.assert_array_equal(*results)


def test_a_row_has_the_scores_of_its_images(scans, tmp_path) -> None:
    scans = scans.subset([0])
    prepared = scans.prepared_volume(0).open(VolumeSpace())
    path = written(tmp_path / "half.nii.gz", prepared.image / 2, prepared.affine)
    scans = scans.with_volumes([submitted(scans, path)])
    source, method = scans.load([0]), SubmissionRow(TINY)
    beside = beside_slices(method, scans, scans.domain)
    output = harmonized_by(method, source, None, 0, torch.device("cpu"), beside)
    assert torch.equal(output.images, source.images / 2)


def shifted(image, affine):
    moved = affine.copy()
    moved[0, 3] += 1
    return image, moved


def not_a_number(image, affine):
    image[3, 3, 3] = np.nan
    return image, affine


def test_axes_in_another_order_are_no_fault(scans, tmp_path) -> None:
    prepared = scans.prepared_volume(0).open(VolumeSpace())
    flip = np.diag([-1.0, 1, 1, 1])
    flip[0, 3] = prepared.image.shape[0] - 1
    path = written(tmp_path / "a.nii.gz", prepared.image[::-1], prepared.affine @ flip)
    volume = submitted(scans, path).open(VolumeSpace())
    np.testing.assert_array_equal(volume.image, prepared.image)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda image, affine: (image[:-1], affine), "shape .* and the grid"),
        (shifted, r"displaced from the grid by 1\.0 mm"),
        (not_a_number, "non-finite"),
        (lambda image, affine: (0 * image + 1, affine), "constant inside the brain"),
        (lambda image, affine: (255 * image, affine), r"up to 255; images on the grid must lie in"),
        (lambda image, affine: (1 - image, affine), "correlation with the scan is -1.00"),
    ],
)
def test_a_wrong_image_is_named_with_the_reason(change, reason, scans, tmp_path) -> None:
    prepared = scans.prepared_volume(0).open(VolumeSpace())
    path = written(tmp_path / "a.nii.gz", *change(prepared.image, prepared.affine))
    with pytest.raises(BadScanError, match=reason):
        submitted(scans, path).open(VolumeSpace())


def test_an_image_with_other_voxels_than_its_scan_is_named(scans, tmp_path) -> None:
    acquired = InMemory(scans.load([0]))
    for change, reason in (
        (shifted, r"displaced from its scan by 1\.0 mm"),
        (lambda image, affine: (image[:, 1:], affine), "shape .* and its scan"),
    ):
        path = written(tmp_path / "a.nii.gz", *change(acquired.image.copy(), AFFINE))
        with pytest.raises(BadScanError, match=reason):
            submitted(scans, path, acquired).open(VolumeSpace())


def test_the_image_of_another_subject_is_noticed(tmp_path) -> None:
    scans = tiny_cohort().scans("domain1", "test")
    other = scans.prepared_volume(1).open(VolumeSpace())
    path = written(tmp_path / "a.nii.gz", other.image, other.affine)
    with pytest.raises(BadScanError, match="is it of another subject"):
        submitted(scans, path).open(VolumeSpace())
