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
    folder: Path,
    data: np.ndarray,
    affine: np.ndarray,
    mask: np.ndarray | None = None,
    *,
    heads: bool = False,
) -> MaskedScan:
    scan, mask_path = folder / "x_T1w.nii", folder / "x_mask.nii"
    nib.save(nib.Nifti1Image(data, affine), scan)
    if mask is not None:
        nib.save(nib.Nifti1Image(mask.astype(np.uint8), affine), mask_path)
    digests = {scan: "scan", mask_path: "mask"}
    mask_file = None if mask is None else mask_path
    return load_masked(BrainSource.of(scan, mask_file, digests, heads=heads), folder)


def test_a_mask_file_sets_everything_outside_to_zero(tmp_path: Path) -> None:
    scan = masked(tmp_path, ball() + 1, EIGHT, ball() > 0)
    assert np.array_equal(scan.volume.data > 0, ball() > 0)
    assert scan.extraction == "by x_mask.nii"
    assert np.array_equal(scan.brain.crop(scan.volume.data), scan.brain.image.data)


def test_an_extracted_brain_does_not_change(tmp_path: Path) -> None:
    scan = masked(tmp_path, ball(), EIGHT)
    assert np.array_equal(scan.volume.data, ball())
    assert scan.content == "scan"


# The brain has values from 20 to 120; more than 5 % of the last two are negative.
SMOOTH = np.where(ball() > 0, 20 + np.linspace(0, 10, 28, dtype=np.float32) ** 2, 0)
BRAIN = ball() > 0
CENTRE = np.s_[14, 14, 14]


def with_value(value: float, where: object = CENTRE) -> np.ndarray:
    data = SMOOTH.copy()
    data[where] = value
    return data


def standardized(background: float) -> np.ndarray:
    values = SMOOTH[BRAIN]
    return np.where(BRAIN, (SMOOTH - values.mean()) / values.std(), background).astype(np.float32)


INTENSITIES = {
    "positive": SMOOTH,
    "a hole of zeros": with_value(0),
    "2 % at -5": with_value(-5, np.s_[10:18, 10:17, 14]),
    "z-scored inside the brain, zero outside": standardized(0),
    "z-scored, background -0.7": standardized(-0.7),
    "z-scored as a whole": ((SMOOTH - SMOOTH.mean()) / SMOOTH.std()).astype(np.float32),
    "background 1": np.where(BRAIN, SMOOTH, 1),
    "background -1024": np.where(BRAIN, SMOOTH * 10, -1024),
    "background above the brain": np.where(BRAIN, SMOOTH, 500),
    "NaN outside": np.where(BRAIN, SMOOTH, np.nan),
    "NaN outside, z-scored inside": standardized(np.nan),
    "infinity outside": np.where(BRAIN, SMOOTH, np.inf),
}


@pytest.mark.parametrize("with_mask", [False, True])
@pytest.mark.parametrize("case", INTENSITIES)
def test_the_brain_is_what_differs_from_the_background(
    tmp_path: Path, case: str, with_mask: bool
) -> None:
    data = INTENSITIES[case].astype(np.float32)
    scan = masked(tmp_path, data, EIGHT, BRAIN if with_mask else None)
    whole = np.zeros(BRAIN.shape, bool)
    whole[scan.brain.box] = scan.brain.mask
    np.testing.assert_array_equal(whole, BRAIN)
    image = scan.brain.image.data
    assert image.min() == 0
    assert np.isfinite(image).all()
    # Brighter tissue stays brighter, except for the half percent below black.
    before, after = data[BRAIN], image[scan.brain.mask]
    kept = after > 0
    assert kept.mean() > 0.97
    np.testing.assert_allclose(np.diff(after[kept]), np.diff(before[kept]), atol=1e-3)


@pytest.mark.parametrize("masking", ["none", "file", "head"])
def test_a_few_undefined_voxels_in_the_brain_are_filled(tmp_path: Path, masking: str) -> None:
    data = with_value(np.nan, np.s_[13:15, 14, 12:15])
    data[0, 0, 0] = np.nan
    mask = BRAIN if masking == "file" else None
    scan = masked(tmp_path, data, EIGHT, mask, heads=masking == "head")
    assert scan.voxels_filled == 6
    brain = scan.brain
    # Intensities depend on the last axis alone: the median of the neighbours is the voxel's own.
    np.testing.assert_allclose(brain.image.data[brain.mask], brain.crop(SMOOTH)[brain.mask], atol=1)
    hole = brain.crop(np.isnan(data))
    assert (brain.image.data[hole] > 0).sum() == 6


@pytest.mark.parametrize("masking", ["none", "file", "head"])
def test_a_brain_with_many_undefined_voxels_is_refused(tmp_path: Path, masking: str) -> None:
    data = with_value(np.nan, np.s_[12:17, 12:17, 12:17])
    mask = BRAIN if masking == "file" else None
    with pytest.raises(BadScanError, match=r"x_T1w.nii has undefined voxels .* 4\.9% of the brain"):
        masked(tmp_path, data, EIGHT, mask, heads=masking == "head")


@pytest.mark.parametrize("with_mask", [False, True])
@pytest.mark.parametrize(
    ("data", "affine", "reason"),
    [
        (np.zeros((28, 28, 28), np.float32), EIGHT, "empty"),
        (np.full((28, 28, 28), 7, np.float32), EIGHT, "empty"),
        (ball() + np.arange(1, 29, dtype=np.float32), EIGHT, r"11\.2 L"),
        (ball(), np.diag([3.0, 3.0, 3.0, 1.0]), r"has only 0\.07 L .*check the"),
        # As if millimetres were metres.
        (ball(), np.diag([0.008, 0.008, 0.008, 1.0]), r"has only 0\.00 L .*check the"),
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
        masked(tmp_path, ball() + np.arange(1, 29, dtype=np.float32), EIGHT)
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
