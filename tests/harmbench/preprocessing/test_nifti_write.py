"""A NIfTI file with new voxels is the same file in every other byte."""

from __future__ import annotations

import gzip

import nibabel as nib
import numpy as np
import pytest

from harmbench.errors import BadScanError
from harmbench.preprocessing.nifti_write import load_native

SHAPE = (5, 6, 7)
OBLIQUE = np.array([[0, 0.1, -2.0, 9], [-1.5, 0, 0, 4], [0, 1.2, 0.1, -3], [0, 0, 0, 1]])


def write(path, dtype=np.int16, *, affine=OBLIQUE, slope=None, inter=None, image=nib.Nifti1Image):
    values = np.random.default_rng(0).integers(10, 200, SHAPE).astype(dtype)
    written = image(values, affine)
    written.header.set_data_dtype(dtype)
    written.header["descrip"] = b"as it came from the scanner"
    written.header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"kept"))
    content = bytearray(written.to_bytes())
    if slope is not None:
        header = written.header
        for field, value in (("scl_slope", slope), ("scl_inter", inter)):
            at = header.template_dtype.fields[field][1]
            size = header.template_dtype.fields[field][0]
            content[at : at + size.itemsize] = np.array(value, size).tobytes()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


def reread(content, path):
    path.write_bytes(content)
    return nib.load(path)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.int32, np.float32, np.float64])
@pytest.mark.parametrize("name", ["scan.nii", "scan.nii.gz"])
def test_without_a_change_every_byte_is_the_same(tmp_path, name, dtype):
    native = load_native(write(tmp_path / name, dtype, slope=0.5, inter=-3))
    changed = native.with_change(np.zeros_like(native.volume.data))
    raw = (tmp_path / name).read_bytes()
    assert changed.content == (gzip.decompress(raw) if name.endswith("gz") else raw)
    assert changed.clipped == 0
    assert changed.encoding is None


@pytest.mark.parametrize("image", [nib.Nifti1Image, nib.Nifti2Image])
def test_a_change_lands_on_its_voxel_whatever_the_orientation(tmp_path, image):
    native = load_native(write(tmp_path / "scan.nii", np.float32, image=image))
    canonical = nib.as_closest_canonical(nib.load(tmp_path / "scan.nii"))
    np.testing.assert_array_equal(native.volume.data, canonical.get_fdata())
    change = np.random.default_rng(1).normal(size=native.volume.data.shape).astype(np.float32)
    change[change < 0.5] = 0
    changed = native.with_change(change)
    result = reread(changed.content, tmp_path / "out.nii")
    want = canonical.get_fdata() + change
    np.testing.assert_allclose(nib.as_closest_canonical(result).get_fdata(), want, rtol=1e-6)
    np.testing.assert_allclose(changed.intensities, want, rtol=1e-6)
    assert result.header == nib.load(tmp_path / "scan.nii").header
    assert result.header.extensions == nib.load(tmp_path / "scan.nii").header.extensions
    assert result.shape == SHAPE


def test_intensities_are_stored_with_the_file_s_own_slope(tmp_path):
    native = load_native(write(tmp_path / "scan.nii", np.int16, slope=0.5, inter=-3))
    before = nib.load(tmp_path / "scan.nii").get_fdata()
    changed = native.with_change(np.full_like(native.volume.data, 7.1))
    assert changed.encoding is None
    after = reread(changed.content, tmp_path / "out.nii").get_fdata()
    np.testing.assert_allclose(after - before, 7.0, atol=1e-9)  # to the nearest half


def test_values_out_of_the_types_range_are_clipped_and_counted(tmp_path):
    native = load_native(write(tmp_path / "scan.nii", np.uint8))
    change = np.zeros_like(native.volume.data)
    change[0, 0, 0], change[1, 1, 1], change[2, 2, 2] = 300, -300, 1
    result = native.with_change(change)
    after = result.intensities
    assert result.clipped == 1
    assert after[0, 0, 0] == 255
    assert after[1, 1, 1] == 0  # an intensity is not taken below zero
    assert after[2, 2, 2] == native.volume.data[2, 2, 2] + 1


def test_negative_values_do_not_change(tmp_path):
    native = load_native(write(tmp_path / "scan.nii", np.float32, slope=1, inter=-1000))
    assert (native.volume.data < 0).all()
    after = native.with_change(np.full_like(native.volume.data, -5)).intensities
    np.testing.assert_array_equal(after, native.volume.data)


def test_the_mask_has_the_scans_voxels(tmp_path):
    native = load_native(write(tmp_path / "scan.nii.gz", np.int16, slope=0.5, inter=-3))
    mask = native.volume.data > 50
    result = reread(native.mask_file(mask), tmp_path / "mask.nii")
    scan = nib.load(tmp_path / "scan.nii.gz")
    np.testing.assert_array_equal(result.get_fdata() == 1, scan.get_fdata() > 50)
    assert result.get_data_dtype() == np.uint8
    np.testing.assert_array_equal(result.affine, scan.affine)
    for code in ("qform_code", "sform_code", "xyzt_units"):
        assert result.header[code] == scan.header[code]


def test_a_scan_with_a_fourth_axis_of_one_keeps_it(tmp_path):
    values = np.random.default_rng(0).integers(1, 200, (*SHAPE, 1)).astype(np.int16)
    nib.save(nib.Nifti1Image(values, OBLIQUE), tmp_path / "scan.nii")
    native = load_native(tmp_path / "scan.nii")
    changed = native.with_change(np.full_like(native.volume.data, 2))
    result = reread(changed.content, tmp_path / "out.nii")
    assert result.shape == (*SHAPE, 1)
    np.testing.assert_array_equal(result.get_fdata(), values + 2)


def test_dicom_is_refused(tmp_path):
    (tmp_path / "IM0001").write_bytes(b"\0" * 128 + b"DICM" + b"\0" * 100)
    with pytest.raises(BadScanError, match="dcm2niix"):
        load_native(tmp_path / "IM0001")


def test_a_floor_below_zero_lets_negative_intensities_change(tmp_path):
    image = nib.Nifti1Image(np.random.default_rng(0).normal(size=SHAPE).astype(np.float32), OBLIQUE)
    nib.save(image, tmp_path / "scan.nii")
    native = load_native(tmp_path / "scan.nii")
    change = np.full_like(native.volume.data, -0.5)
    after = native.with_change(change, floor=-1.0).intensities
    before = native.volume.data
    np.testing.assert_allclose(after, np.maximum(before - 0.5, np.minimum(before, -1)), atol=1e-6)


@pytest.mark.parametrize("background", [-1024, 7])
def test_a_constant_background_stays(tmp_path, background):
    values = np.full((9, 9, 9), background, np.int16)
    values[2:7, 2:7, 2:7] = np.random.default_rng(0).integers(100, 2000, (5, 5, 5))
    nib.save(nib.Nifti1Image(values, OBLIQUE), tmp_path / "scan.nii")
    native = load_native(tmp_path / "scan.nii")
    brain = native.volume.data != 0
    changed = native.with_change(np.where(brain, np.float32(-300), 0), floor=min(0, background))
    stored = np.asarray(reread(changed.content, tmp_path / "out.nii").dataobj)
    want = np.maximum(values.astype(int) - 300, min(0, background))
    np.testing.assert_array_equal(stored, np.where(values == background, background, want))
    np.testing.assert_array_equal(changed.intensities[~brain], 0)
    assert changed.intensities.max() == stored.max()


def test_undefined_voxels_stay_undefined(tmp_path):
    values = np.full((9, 9, 9), np.nan, np.float32)
    values[2:7, 2:7, 2:7] = 100
    nib.save(nib.Nifti1Image(values, OBLIQUE), tmp_path / "scan.nii.gz")
    native = load_native(tmp_path / "scan.nii.gz")
    changed = native.with_change(np.where(native.volume.data > 0, np.float32(5), 0))
    np.testing.assert_array_equal(
        np.asarray(reread(changed.content, tmp_path / "out.nii").dataobj), values + 5
    )
    np.testing.assert_array_equal(changed.intensities > 0, native.volume.data > 0)


# A change that rounding would lose: type, largest number, scale, change (RMS, in numbers).
COARSE = {
    "int16, 0 to 12": (np.int16, 12, 1.0, 0.4, "int16"),
    "uint8, 0 to 255": (np.uint8, 255, 2.0, 1.5, "int16"),
    "int32, 0 to 40": (np.int32, 40, 0.25, 0.5, "int32"),
    "big-endian uint16": (np.dtype(">u2"), 60, 1.0, 0.5, "uint16"),
    "an outlier fills the type": (np.int16, 12, 1.0, 0.4, "float32"),
    "float64, 0 to 12": (np.float64, 12, None, 0.4, None),
    "int16, 0 to 4000": (np.int16, 4000, 1.0, 40, None),
    "int16, negligible change": (np.int16, 4000, 1.0, 0.05, None),
    "uint8, large change": (np.uint8, 200, 1.0, 12, None),
}


@pytest.mark.parametrize("case", COARSE)
def test_a_change_is_never_lost_by_rounding(tmp_path, case):
    dtype, most, slope, spread, stored_as = COARSE[case]
    rng = np.random.default_rng(0)
    values = rng.integers(1, most + 1, (12, 12, 12)).astype(dtype)
    if "outlier" in case:
        values[3, 3, 3] = 30000
    written = nib.Nifti1Image(values, OBLIQUE)
    if slope is not None:
        written.header.set_data_dtype(dtype)
        written = nib.Nifti1Image(values, OBLIQUE, written.header)
        written.header.set_slope_inter(slope, 0)
    nib.save(written, tmp_path / "scan.nii")
    native = load_native(tmp_path / "scan.nii")
    change = np.abs(rng.normal(0, spread * (slope or 1), native.volume.data.shape))
    change = np.where(native.volume.data < most * (slope or 1) * 0.8, change, 0).astype(np.float32)
    result = native.with_change(change)
    after = nib.as_closest_canonical(reread(result.content, tmp_path / "out.nii")).get_fdata()
    np.testing.assert_array_equal(after[change == 0], native.volume.data[change == 0])
    if stored_as is None:
        assert result.encoding is None
        assert len(result.content) == len((tmp_path / "scan.nii").read_bytes())
        return
    assert result.encoding is not None
    assert result.encoding.dtype.name == stored_as
    assert stored_as in result.encoding.title
    assert result.clipped == 0
    error = after - native.volume.data - change
    assert np.sqrt(np.mean(error[change != 0] ** 2)) < 0.05 * np.sqrt(np.mean(change**2))
    header = nib.load(tmp_path / "out.nii").header
    assert header["descrip"] == nib.load(tmp_path / "scan.nii").header["descrip"]
    np.testing.assert_array_equal(nib.load(tmp_path / "out.nii").affine, native_affine(tmp_path))


def native_affine(folder):
    return nib.load(folder / "scan.nii").affine
