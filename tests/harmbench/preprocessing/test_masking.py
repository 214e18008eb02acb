"""Masking: a scan is a brain, a head, empty, or not the size of a brain."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from harmbench.errors import BadScanError
from harmbench.preprocessing.masking import BrainSource, HeadError, MaskedScan, load_masked

EIGHT = np.diag([8.0, 8.0, 8.0, 1.0])


def ball(radius: float = 8.5) -> np.ndarray:
    axes = np.meshgrid(*[np.arange(28) - 14] * 3, indexing="ij")
    return np.where(sum(axis**2 for axis in axes) < radius**2, 100.0, 0.0).astype(np.float32)


def masked(
    folder: Path, data: np.ndarray, affine: np.ndarray, mask: np.ndarray | None = None
) -> MaskedScan:
    scan, mask_path = folder / "x_T1w.nii", folder / "x_mask.nii"
    nib.save(nib.Nifti1Image(data, affine), scan)
    if mask is not None:
        nib.save(nib.Nifti1Image(mask.astype(np.uint8), affine), mask_path)
    digests = {scan: "scan", mask_path: "mask"}
    return load_masked(BrainSource.of(scan, None if mask is None else mask_path, digests), folder)


def test_a_mask_file_sets_everything_outside_to_zero(tmp_path: Path) -> None:
    scan = masked(tmp_path, ball() + 1, EIGHT, ball() > 0)
    assert np.array_equal(scan.volume.data > 0, ball() > 0)
    assert scan.extraction == "by x_mask.nii"
    assert np.array_equal(scan.brain.crop(scan.volume.data), scan.brain.image.data)


def test_an_extracted_brain_does_not_change(tmp_path: Path) -> None:
    scan = masked(tmp_path, ball(), EIGHT)
    assert np.array_equal(scan.volume.data, ball())
    assert scan.content == "scan"


@pytest.mark.parametrize("with_mask", [False, True])
@pytest.mark.parametrize(
    ("data", "affine", "reason"),
    [
        (np.zeros((28, 28, 28), np.float32), EIGHT, "empty"),
        (-ball(), EIGHT, "empty"),
        (ball() + 1, EIGHT, r"11\.2 L"),
        (ball(), np.diag([3.0, 3.0, 3.0, 1.0]), r"has only 0\.07 L .*check the"),
    ],
)
def test_a_volume_without_a_brain_is_refused_with_the_reason(
    tmp_path: Path, data: np.ndarray, affine: np.ndarray, reason: str, with_mask: bool
) -> None:
    mask = np.ones(data.shape, bool) if with_mask else None
    with pytest.raises(BadScanError, match=rf"x_T1w\.nii.*{reason}") as caught:
        masked(tmp_path, data, affine, mask)
    assert ("x_mask.nii" in str(caught.value)) == with_mask
    assert isinstance(caught.value, HeadError) == ("11" in reason and not with_mask)


def test_a_head_without_a_tool_gets_one_line_with_one_advice(tmp_path: Path) -> None:
    with pytest.raises(HeadError) as caught:
        masked(tmp_path, ball() + 1, EIGHT)
    assert str(caught.value) == (
        "x_T1w.nii is a head (11.2 L) without a brain mask; leave out --brain-extraction none"
    )


def test_noise_around_an_extracted_brain_is_no_head(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).uniform(-0.3, 0.3, (28, 28, 28)).astype(np.float32)
    scan = masked(tmp_path, np.where(ball() > 0, ball(), noise), EIGHT)
    assert np.array_equal(scan.volume.data, ball())
    assert scan.extraction == "none: it was brain-extracted"


def test_a_mask_in_pieces_is_doubtful(tmp_path: Path) -> None:
    pieces = ball() > 0
    pieces[:, :, 8:11] = False
    scan = masked(tmp_path, ball() + 1, EIGHT, pieces)
    (doubt,) = scan.doubts
    assert "separate from its main component" in doubt
    assert not masked(tmp_path, ball() + 1, EIGHT, ball() > 0).doubts
