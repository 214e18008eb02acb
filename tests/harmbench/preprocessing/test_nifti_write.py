"""A NIfTI file with new voxels is the same file in every other byte."""

from __future__ import annotations

import gzip

import nibabel as nib
import numpy as np
import pytest

from harmbench.errors import BadScanError, UserError
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
    content, _, clipped = native.with_change(np.zeros_like(native.volume.data))
    raw = (tmp_path / name).read_bytes()
    assert content == (gzip.decompress(raw) if name.endswith("gz") else raw)
    assert clipped == 0


@pytest.mark.parametrize("image", [nib.Nifti1Image, nib.Nifti2Image])
def test_a_change_lands_on_its_voxel_whatever_the_orientation(tmp_path, image):
    native = load_native(write(tmp_path / "scan.nii", np.float32, image=image))
    canonical = nib.as_closest_canonical(nib.load(tmp_path / "scan.nii"))
    np.testing.assert_array_equal(native.volume.data, canonical.get_fdata())
    change = np.random.default_rng(1).normal(size=native.volume.data.shape).astype(np.float32)
    change[change < 0.5] = 0
    content, after, _ = native.with_change(change)
    result = reread(content, tmp_path / "out.nii")
    want = canonical.get_fdata() + change
    np.testing.assert_allclose(nib.as_closest_canonical(result).get_fdata(), want, rtol=1e-6)
    np.testing.assert_allclose(after, want, rtol=1e-6)
    assert result.header == nib.load(tmp_path / "scan.nii").header
    assert result.header.extensions == nib.load(tmp_path / "scan.nii").header.extensions
    assert result.shape == SHAPE


def test_intensities_are_stored_with_the_file_s_own_slope(tmp_path):
    native = load_native(write(tmp_path / "scan.nii", np.int16, slope=0.5, inter=-3))
    before = nib.load(tmp_path / "scan.nii").get_fdata()
    content, _, _ = native.with_change(np.full_like(native.volume.data, 7.1))
    after = reread(content, tmp_path / "out.nii").get_fdata()
    np.testing.assert_allclose(after - before, 7.0, atol=1e-9)  # to the nearest half


def test_values_out_of_the_types_range_are_clipped_and_counted(tmp_path):
    native = load_native(write(tmp_path / "scan.nii", np.uint8))
    change = np.zeros_like(native.volume.data)
    change[0, 0, 0], change[1, 1, 1], change[2, 2, 2] = 300, -300, 1
    _, after, clipped = native.with_change(change)
    assert clipped == 1
    assert after[0, 0, 0] == 255
    assert after[1, 1, 1] == 0  # an intensity is not taken below zero
    assert after[2, 2, 2] == native.volume.data[2, 2, 2] + 1


def test_negative_values_do_not_change(tmp_path):
    native = load_native(write(tmp_path / "scan.nii", np.float32, slope=1, inter=-1000))
    assert (native.volume.data < 0).all()
    _, after, _ = native.with_change(np.full_like(native.volume.data, -5))
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
    content, _, _ = native.with_change(np.full_like(native.volume.data, 2))
    result = reread(content, tmp_path / "out.nii")
    np.testing.assert_array_equal(result.get_fdata(), values + 2)


def test_other_file_formats_are_refused(tmp_path):
    nib.save(nib.MGHImage(np.ones(SHAPE, np.float32), np.eye(4)), tmp_path / "scan.mgz")
    with pytest.raises(BadScanError, match=r"scan.mgz.*MGHImage.*convert it first"):
        load_native(tmp_path / "scan.mgz")
    (tmp_path / "IM0001").write_bytes(b"\0" * 128 + b"DICM" + b"\0" * 100)
    with pytest.raises(UserError, match="dcm2niix"):
        load_native(tmp_path / "IM0001")
