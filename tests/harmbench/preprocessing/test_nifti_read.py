"""Reading volumes: bad files of every sort are refused."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from harmbench.errors import BadScanError
from harmbench.preprocessing.nifti_read import load_labels, load_volume

EIGHT = np.diag([8.0, 8.0, 8.0, 1.0])


def ball(shape: tuple[int, int, int] = (28, 28, 28), radius: float = 8.5) -> np.ndarray:
    axes = np.meshgrid(*[np.arange(n) - n / 2 for n in shape], indexing="ij")
    inside = sum(axis**2 for axis in axes) < radius**2
    return np.where(inside, 100.0, 0.0).astype(np.float32)


def save(path: Path, data: np.ndarray, affine: np.ndarray = EIGHT) -> Path:
    nib.save(nib.Nifti1Image(data, affine), path)
    return path


def test_a_volume_has_canonical_orientation(tmp_path: Path) -> None:
    data = np.arange(2 * 3 * 4, dtype=np.int16).reshape(2, 3, 4)
    # Axes run to posterior, superior and right.
    affine = np.array([[0, 0, 3, -5], [-1, 0, 0, 7], [0, 2, 0, 1], [0, 0, 0, 1.0]])
    volume = load_volume(save(tmp_path / "scan.nii", data, affine))
    assert volume.data.shape == (4, 2, 3)
    assert volume.voxel_size == (3, 1, 2)
    assert volume.voxel_volume == pytest.approx(6)
    x, y, z = 2, 0, 1  # most posterior, so last along the file's first axis
    assert volume.data[x, y, z] == data[1, 1, 2]
    np.testing.assert_allclose(volume.affine @ [x, y, z, 1], affine @ [1, 1, 2, 1])


def test_a_last_axis_of_one_is_squeezed(tmp_path: Path) -> None:
    volume = load_volume(save(tmp_path / "scan.nii.gz", ball()[..., None]))
    assert volume.data.shape == (28, 28, 28)
    assert volume.data.dtype == np.float32


def with_value(value: float) -> np.ndarray:
    data = ball()
    data[14, 14, 14] = value
    return data


@pytest.mark.parametrize(
    ("data", "affine", "reason"),
    [
        (np.stack([ball(), ball()], axis=-1), EIGHT, r"shape \(28, 28, 28, 2\)"),
        (ball()[:, :, 0], EIGHT, "shape"),
        (with_value(np.nan), EIGHT, r"non-finite.*NaN.*: 1$"),
        (with_value(np.inf), EIGHT, r"non-finite.*NaN.*: 1$"),
        (ball(), np.diag([8.0, 8.0, 0.0, 1.0]), "degenerate affine"),
        (ball().astype(np.complex64), EIGHT, "complex64"),
    ],
)
def test_a_bad_volume_is_named_in_one_line(
    tmp_path: Path, data: np.ndarray, affine: np.ndarray, reason: str
) -> None:
    image = nib.Nifti1Image(data, EIGHT)
    if affine is not EIGHT:
        # As a faulty converter writes it; nibabel itself would not.
        image.header["sform_code"] = 1
        for row, name in zip(affine, ("srow_x", "srow_y", "srow_z"), strict=False):
            image.header[name] = row
        image = nib.Nifti1Image(data, None, image.header)
    nib.save(image, tmp_path / "bad_T1w.nii.gz")
    with pytest.raises(BadScanError, match=reason) as caught:
        load_volume(tmp_path / "bad_T1w.nii.gz")
    assert "bad_T1w.nii.gz" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kept", [0, 20, 400, 0.5, 0.95])
@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
def test_a_file_cut_short_is_a_bad_scan(tmp_path: Path, kept: float, ending: str) -> None:
    noise = np.random.default_rng(0).uniform(1, 2, (28, 28, 28)) * (ball() > 0)
    path = save(tmp_path / f"cut{ending}", noise.astype(np.float32))
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content)) if kept < 1 else int(kept)])
    with pytest.raises(BadScanError, match=f"cut{ending}"):
        load_volume(path)


def test_a_missing_or_unreadable_file_is_a_bad_scan(tmp_path: Path) -> None:
    with pytest.raises(BadScanError, match="is missing"):
        load_volume(tmp_path / "none.nii.gz")
    (tmp_path / "link.nii.gz").symlink_to(tmp_path / "not-fetched")
    with pytest.raises(BadScanError, match="broken link"):
        load_volume(tmp_path / "link.nii.gz")
    (tmp_path / "text.nii").write_text("no image at all " * 100)
    with pytest.raises(BadScanError, match="cannot be read"):
        load_volume(tmp_path / "text.nii")


def test_labels_must_have_the_voxels_of_their_scan(tmp_path: Path) -> None:
    scan = load_volume(save(tmp_path / "scan.nii", ball()))
    good = load_labels(save(tmp_path / "good.nii", (ball() > 0).astype(np.uint8)), scan)
    assert good.data.max() == 1
    shifted = EIGHT.copy()
    shifted[0, 3] = 4
    with pytest.raises(BadScanError, match="shifted.*4.0 mm"):
        load_labels(save(tmp_path / "shifted.nii", ball(), shifted), scan)
    with pytest.raises(BadScanError, match="shape"):
        load_labels(save(tmp_path / "other.nii", ball((28, 28, 30))), scan)
