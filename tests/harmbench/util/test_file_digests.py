"""Digests of input files."""

from __future__ import annotations

from harmbench.util.file_digests import remembered_digests


def test_the_digest_of_a_pair_covers_its_header(tmp_path):
    image, header = tmp_path / "a.img.gz", tmp_path / "a.hdr.gz"
    image.write_bytes(b"voxels")
    alone = remembered_digests([image], tmp_path / "home")[image]
    digests = {alone}
    for content in (b"origin 1", b"origin 2"):
        header.write_bytes(content)
        digests.add(remembered_digests([image], tmp_path / "home")[image])
    assert len(digests) == 3
