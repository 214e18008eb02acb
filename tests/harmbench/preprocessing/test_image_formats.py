"""The same volume is read from every format, and is written as NIfTI."""

from __future__ import annotations

import bz2
import gzip

import nibabel as nib
import numpy as np
import pytest
from nibabel.spm2analyze import Spm2AnalyzeImage

from harmbench.errors import BadScanError
from harmbench.preprocessing.nifti_read import load_labels, load_volume
from harmbench.preprocessing.nifti_write import load_native

SHAPE = (5, 6, 7)
OBLIQUE = np.array([[0, 0.1, -2.0, 9], [-1.5, 0, 0, 4], [0, 1.2, 0.1, -3], [0, 0, 0, 1]])
UPRIGHT = np.array([[-2.0, 0, 0, 4], [0, 1.5, 0, -3.75], [0, 0, 1.2, -3.6], [0, 0, 0, 1]])


def voxels(dtype):
    return np.random.default_rng(0).integers(10, 200, SHAPE).astype(dtype)


def scaled(image):
    image.header.set_slope_inter(0.5, 3)
    return image


# Format: name, image, whether the affine is stated, name of the format that it is converted from.
FORMATS = {
    "NIfTI-1": ("s.nii", nib.Nifti1Image(voxels(np.int16), OBLIQUE), True, None),
    "NIfTI-2": ("s.nii.gz", nib.Nifti2Image(voxels(np.float32), OBLIQUE), True, None),
    "bzip2": (
        "s.nii.bz2",
        nib.Nifti1Image(voxels(np.int16), OBLIQUE),
        True,
        "bzip2-compressed",
    ),
    "MGH": ("s.mgh", nib.MGHImage(voxels(np.float32), OBLIQUE), True, "MGH"),
    "compressed MGH": ("s.mgz", nib.MGHImage(voxels(np.uint8), OBLIQUE), True, "MGH"),
    "pair, by .img": ("s.img", nib.Nifti1Pair(voxels(np.int16), OBLIQUE), True, "NIfTI pair"),
    "pair, by .hdr": ("s.hdr", nib.Nifti1Pair(voxels(np.float32), OBLIQUE), True, "NIfTI pair"),
    "compressed pair": (
        "s.img.gz",
        nib.Nifti1Pair(voxels(np.int16), OBLIQUE),
        True,
        "NIfTI pair",
    ),
    "NIfTI-2 pair": ("s.img", nib.Nifti2Pair(voxels(np.int16), OBLIQUE), True, "NIfTI pair"),
    "scaled pair": (
        "s.img",
        scaled(nib.Nifti1Pair(voxels(np.int16), OBLIQUE)),
        True,
        "NIfTI pair",
    ),
    "Analyze": ("s.img", nib.AnalyzeImage(voxels(np.int16), UPRIGHT), False, "Analyze"),
    "SPM Analyze": ("s.hdr", Spm2AnalyzeImage(voxels(np.int16), UPRIGHT), False, "Analyze"),
}


def loaded(path):
    # nibabel leaves an uncompressed MGH file open.
    return nib.MGHImage.from_bytes(path.read_bytes()) if path.suffix == ".mgh" else nib.load(path)


@pytest.mark.parametrize("case", FORMATS)
def test_each_format_is_read_and_written_as_nifti(tmp_path, case):
    name, source, stated, converted = FORMATS[case]
    nib.save(source, tmp_path / name)
    read = nib.as_closest_canonical(loaded(tmp_path / name))
    native = load_native(tmp_path / name)
    np.testing.assert_array_equal(native.volume.data, read.get_fdata())
    np.testing.assert_allclose(native.volume.affine, read.affine, atol=1e-5)
    assert native.converted == converted
    assert any("left and right are guessed" in note for note in native.volume.facts.notes) != stated
    change = np.zeros_like(native.volume.data)
    change[1, 2, 3] = 7
    (tmp_path / "out.nii").write_bytes(native.with_change(change).content)
    written = nib.load(tmp_path / "out.nii")
    assert written.get_data_dtype().newbyteorder("=") == source.get_data_dtype().newbyteorder("=")
    result = nib.as_closest_canonical(written)
    np.testing.assert_array_equal(result.get_fdata(), read.get_fdata() + change)
    np.testing.assert_allclose(result.affine, read.affine, atol=1e-5)
    (tmp_path / "mask.nii").write_bytes(native.mask_file(change > 0))
    np.testing.assert_array_equal(
        load_labels(tmp_path / "mask.nii", native.volume).data, change > 0
    )


@pytest.mark.parametrize("lost", ["s.hdr", "s.img"])
def test_a_pair_needs_both_files(tmp_path, lost):
    nib.save(nib.Nifti1Pair(voxels(np.int16), OBLIQUE), tmp_path / "s.img")
    (tmp_path / lost).unlink()
    for name in ("s.hdr", "s.img"):
        with pytest.raises(BadScanError, match=f"{lost} is missing"):
            load_volume(tmp_path / name)


@pytest.mark.parametrize("compress", [gzip.compress, bz2.compress])
def test_a_compressed_file_keeps_its_bytes(tmp_path, compress):
    content = nib.Nifti1Image(voxels(np.int16), OBLIQUE).to_bytes()
    path = tmp_path / f"s.nii.{'gz' if compress is gzip.compress else 'bz2'}"
    path.write_bytes(compress(content))
    assert load_native(path).content == content


def test_a_damaged_mgz_file_is_refused(tmp_path):
    nib.save(nib.MGHImage(voxels(np.float32), OBLIQUE), tmp_path / "s.mgz")
    content = bytearray((tmp_path / "s.mgz").read_bytes())
    content[-6] ^= 0xFF
    (tmp_path / "s.mgz").write_bytes(content)
    with pytest.raises(BadScanError, match=r"s.mgz is damaged: the checksum"):
        load_volume(tmp_path / "s.mgz")
