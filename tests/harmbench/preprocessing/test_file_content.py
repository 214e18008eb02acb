"""Damaged and misnamed files are refused with the reason and the fix, however little is wrong."""

from __future__ import annotations

import bz2
import gzip
import re

import nibabel as nib
import numpy as np
import pytest

from harmbench.errors import BadScanError
from harmbench.preprocessing.file_content import file_content
from harmbench.preprocessing.nifti_read import load_volume

SHAPE = (28, 28, 28)


@pytest.fixture(scope="module")
def plain():
    """The bytes of an uncompressed NIfTI file."""
    voxels = np.random.default_rng(0).integers(1, 2000, SHAPE).astype(np.int16)
    return nib.Nifti1Image(voxels, np.diag([8.0, 8, 8, 1])).to_bytes()


def wiped(content):
    """Uncompressed blocks (level 0), some of whose bytes were lost: no decoder stops there."""
    stream = bytearray(gzip.compress(content, compresslevel=0))
    stream[9000:13000] = bytes(4000)
    return bytes(stream)


def spoilt(content):
    stream = bytearray(gzip.compress(content))
    stream[-6] ^= 0xFF
    return bytes(stream)


FILES = {
    "no trailer": ("s.nii.gz", lambda c: gzip.compress(c)[:-8], "truncated.*copy it again"),
    "half a file": ("s.nii.gz", lambda c: gzip.compress(c)[:9000], "truncated.*copy it again"),
    "20 bytes": ("s.nii.gz", lambda c: gzip.compress(c)[:20], "truncated.*copy it again"),
    "wrong checksum": ("s.nii.gz", spoilt, "damaged: the checksum.*copy it again"),
    "wrong voxels": ("s.nii.gz", wiped, "damaged: the checksum.*copy it again"),
    "bytes appended": ("s.nii.gz", lambda c: gzip.compress(c) + b"garbage", "other data follows"),
    "wrong block": (
        "s.nii.gz",
        lambda c: gzip.compress(c)[:5000] + b"\xff" * 300 + gzip.compress(c)[5300:],
        "damaged",
    ),
    "half a bzip2 file": ("s.nii.bz2", lambda c: bz2.compress(c)[:9000], "truncated.*bzip2"),
    "spoilt bzip2 file": (
        "s.nii.bz2",
        lambda c: bz2.compress(c)[:900] + b"\xff" * 30 + bz2.compress(c)[930:],
        "damaged.*bzip2",
    ),
    "empty": ("s.nii.gz", lambda _: b"", "truncated: the file is empty"),
    "empty, no ending": ("s.nii", lambda _: b"", "truncated: the file is empty"),
    "plain, cut in the header": ("s.nii", lambda c: c[:300], "cannot be read"),
    "plain, half": ("s.nii", lambda c: c[: len(c) // 2], "truncated or corrupt"),
    "gzip of half": ("s.nii.gz", lambda c: gzip.compress(c[:9000]), "truncated or corrupt"),
    "plain called gz": ("s.nii.gz", lambda c: c, "is not a gzip file.*rename it to s.nii$"),
    "gzip called nii": ("s.nii", gzip.compress, "compressed with gzip.*rename it to s.nii.gz$"),
    "bzip2 called gz": ("s.nii.gz", bz2.compress, "with bzip2.*rename it to s.nii.bz2$"),
    "plain called mgz": ("s.mgz", lambda c: c, "is not a gzip file.*rename it to s.mgh$"),
    "text": ("s.nii", lambda _: b"no image at all " * 100, "cannot be read"),
    "annex pointer": (
        "s.nii.gz",
        lambda _: b"/annex/objects/SHA256E-s5000--abc.nii.gz\n",
        "git-annex pointer.*datalad get",
    ),
    "LFS pointer": (
        "s.nii.gz",
        lambda _: b"version https://git-lfs.github.com/spec/v1\noid sha256:abc\nsize 5000\n",
        "Git LFS pointer.*git lfs pull",
    ),
}


@pytest.mark.parametrize("case", FILES)
def test_a_damaged_or_misnamed_file_is_refused_in_one_line(tmp_path, plain, case):
    name, change, reason = FILES[case]
    (tmp_path / name).write_bytes(change(plain))
    with pytest.raises(BadScanError) as caught:
        load_volume(tmp_path / name)
    assert re.search(rf"^{name} .*{reason}", str(caught.value))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "compress"),
    [
        ("s.nii", bytes),
        ("s.nii.gz", gzip.compress),
        ("S.NII.GZ", gzip.compress),
        ("s.nii.gz", lambda content: gzip.compress(content[:999]) + gzip.compress(content[999:])),
        ("s.nii.gz", lambda content: gzip.compress(content) + bytes(512)),
        ("s.nii.bz2", bz2.compress),
    ],
    ids=["plain", "gzip", "upper case", "two members", "padded with zeros", "bzip2"],
)
def test_sound_files_are_decompressed(tmp_path, plain, name, compress):
    (tmp_path / name).write_bytes(compress(plain))
    assert file_content(tmp_path / name) == plain


def test_missing_files_and_links_to_nothing_are_named(tmp_path):
    with pytest.raises(BadScanError, match=r"none.nii.gz is missing"):
        file_content(tmp_path / "none.nii.gz")
    with pytest.raises(BadScanError, match=r"cannot be read: Is a directory"):
        file_content(tmp_path)
    (tmp_path / "link.nii.gz").symlink_to(tmp_path / "nowhere")
    with pytest.raises(BadScanError, match=r"link.nii.gz is a broken link: .*"):
        file_content(tmp_path / "link.nii.gz")
    (tmp_path / "annexed.nii.gz").symlink_to("../.git/annex/objects/ab/cd/KEY/KEY")
    with pytest.raises(BadScanError, match=r"annexed.nii.gz .*datalad get"):
        file_content(tmp_path / "annexed.nii.gz")
