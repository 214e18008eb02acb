"""Reading volumes: bad files of every sort are refused."""

from __future__ import annotations

import re
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from harmbench.errors import BadScanError
from harmbench.preprocessing.nifti_read import check_headers, load_labels, load_volume

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


@pytest.mark.parametrize(
    ("data", "affine", "reason"),
    [
        (np.stack([ball(), ball()], axis=-1), EIGHT, r"shape \(28, 28, 28, 2\)"),
        (ball()[:, :, 0], EIGHT, "shape"),
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


ROUND = 1e-5 * np.random.default_rng(0).normal(size=(4, 4)) * [[1], [1], [1], [0]]
SFORM = np.array([[0, 0, 7.0, -90], [-8.0, 0, 0, 110], [0, 9.0, 0, -70], [0, 0, 0, 1]])
TURN = np.array([[0.985, -0.174, 0, 20], [0.174, 0.985, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
SHAPE = (24, 25, 26)


def image(data: np.ndarray, sform: np.ndarray | None, qform: np.ndarray | None) -> nib.Nifti1Image:
    """An image whose header has an sform, a qform, both or none."""
    result = nib.Nifti1Image(data, SFORM if sform is None else sform)
    result.header.set_sform(sform, 0 if sform is None else 2)
    result.header.set_qform(qform, 0 if qform is None else 1)
    return nib.Nifti1Image(data, None, result.header)


def blob(shape: tuple[int, int, int] = SHAPE) -> np.ndarray:
    """A mask without any symmetry."""
    mask = np.zeros(shape, np.uint8)
    mask[4:15, 3:9, 6:20] = mask[4:8, 3:19, 6:11] = 1
    return mask


def reoriented(orientation: str) -> nib.Nifti1Image:
    """The mask, stored in another order and direction of the axes."""
    source = nib.Nifti1Image(blob(), SFORM)
    codes = nib.orientations.axcodes2ornt(orientation)
    start = nib.io_orientation(SFORM)
    return source.as_reoriented(nib.orientations.ornt_transform(start, codes))


# The scan has two affines that disagree; its voxels are given by the first.
MASKS = {
    "same header": (image(blob(), SFORM, TURN @ SFORM), None),
    "sform only": (image(blob(), SFORM, None), None),
    "qform only, as ITK writes": (image(blob(), None, TURN @ SFORM), None),
    "float noise": (image(blob(), SFORM + ROUND, None), None),
    "voxels times 1.000005": (image(blob(), SFORM * 1.000005, None), None),
    "axes RAS": (reoriented("RAS"), None),
    "axes LPI": (reoriented("LPI"), None),
    "a fourth axis": (image(blob()[..., None], SFORM, None), None),
    "scl_slope NaN": (image(blob().astype(np.int16), SFORM, None), None),
    "NaN outside": (image(np.where(blob(), 1, np.nan).astype(np.float32), SFORM, None), None),
    "shifted by 5 mm": (image(blob(), SFORM + 5 * np.eye(4, k=3), None), r"by 5\.0 mm.*affines"),
    "turned": (image(blob(), TURN @ TURN @ SFORM, None), "displaced.*mm; check both affines"),
    "mirrored": (image(blob(), np.diag([-1.0, 1, 1, 1]) @ SFORM, None), "displaced"),
    "another shape": (image(blob((24, 25, 27)), SFORM, None), r"shape \(24, 25, 27\)"),
    "no affine": (image(blob(), None, None), "displaced|shape"),
}


@pytest.mark.parametrize("case", MASKS)
def test_labels_are_accepted_if_their_voxels_are_those_of_the_scan(
    tmp_path: Path, case: str
) -> None:
    labels, reason = MASKS[case]
    nib.save(image(blob() * np.float32(100), SFORM, TURN @ SFORM), tmp_path / "scan.nii")
    nib.save(labels, tmp_path / "labels.nii")
    scan = load_volume(tmp_path / "scan.nii")
    if reason is None:
        read = load_labels(tmp_path / "labels.nii", scan)
        np.testing.assert_array_equal(read.data > 0, scan.data > 0)
        return
    with pytest.raises(BadScanError, match=f"labels.nii.*{reason}"):
        load_labels(tmp_path / "labels.nii", scan)


@pytest.mark.parametrize(
    ("sform", "qform", "note"),
    [
        (SFORM, None, None),
        (None, SFORM, None),
        (SFORM, SFORM + ROUND, None),
        (SFORM, TURN @ SFORM, r"sform and qform disagree by up to \d\d\.\d mm; the sform is used"),
        (None, None, "sform_code and qform_code are 0.*left and right are guessed"),
        (SFORM @ (np.eye(4) + 1e-4 * np.eye(4, k=1)), None, None),
        (SFORM @ (np.eye(4) + 0.05 * np.eye(4, k=1)), None, r"not perpendicular.*3\.7 degrees"),
    ],
)
def test_a_doubtful_affine_is_noted_once(
    tmp_path: Path, sform: np.ndarray | None, qform: np.ndarray | None, note: str | None
) -> None:
    nib.save(image(blob() * np.float32(100), sform, qform), tmp_path / "scan.nii.gz")
    notes = load_volume(tmp_path / "scan.nii.gz").facts.notes
    if note is None:
        assert notes == ()
    else:
        (text,) = notes
        assert re.search(note, text)


@pytest.mark.parametrize("value", [0, 1, -0.7, -1024, 4095])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int16])
def test_a_constant_background_is_zero(tmp_path: Path, value: float, dtype: type) -> None:
    value = dtype(value)
    data = np.where(blob(), 100 + np.arange(26.0), value).astype(dtype)
    nib.save(nib.Nifti1Image(data, np.diag([2.0, 2, 2, 1])), tmp_path / "scan.nii")
    volume = load_volume(tmp_path / "scan.nii")
    assert volume.facts.background == pytest.approx(float(value))
    np.testing.assert_array_equal(volume.data, np.where(blob(), data, 0).astype(np.float32))


def test_noise_around_a_head_is_no_constant_background(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 8, SHAPE).astype(np.uint8)
    nib.save(nib.Nifti1Image(noise, SFORM), tmp_path / "scan.nii")
    volume = load_volume(tmp_path / "scan.nii")
    assert volume.facts.background == 0
    assert volume.data.max() == 7


def test_undefined_voxels_are_zero_and_remembered(tmp_path: Path) -> None:
    data = np.where(blob(), 100, np.nan).astype(np.float32)
    data[5, 4, 7] = np.inf
    nib.save(nib.Nifti1Image(data, np.diag([2.0, 2, 2, 1])), tmp_path / "scan.nii.gz")
    volume = load_volume(tmp_path / "scan.nii.gz")
    assert volume.facts.undefined is not None
    np.testing.assert_array_equal(volume.facts.undefined, ~np.isfinite(data))
    np.testing.assert_array_equal(volume.data, np.where(np.isfinite(data), data, 0))


def with_scale(path: Path, slope: float, intercept: float) -> Path:
    """Write an int16 scan, and its scale as bytes, since nibabel changes what it writes."""
    data = np.where(blob(), 100, 0).astype(np.int16)
    content = bytearray(nib.Nifti1Image(data, np.diag([2.0, 2, 2, 1])).to_bytes())
    content[112:120] = np.array([slope, intercept], "<f4").tobytes()
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("slope", "intercept", "factor"), [(0, 0, 1), (0, 50, 1), (np.nan, np.nan, 1), (2, 0, 2)]
)
def test_a_scale_of_zero_is_none(
    tmp_path: Path, slope: float, intercept: float, factor: float
) -> None:
    data = load_volume(with_scale(tmp_path / "scan.nii", slope, intercept)).data
    np.testing.assert_array_equal(data, np.where(blob(), 100 * factor, 0))


def test_a_scale_without_an_intercept_is_refused(tmp_path: Path) -> None:
    path = with_scale(tmp_path / "scan.nii", 2, np.nan)
    for read in (load_volume, lambda path: check_headers(path, None)):
        with pytest.raises(BadScanError, match=r"scan.nii cannot be read: .*intercept"):
            read(path)
