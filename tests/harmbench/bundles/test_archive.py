"""A bundle is read only if it is complete and of a known schema; each fault has one line."""

from __future__ import annotations

import json
import zipfile

import pytest

from harmbench.bundles.archive import read_archive, write_archive
from harmbench.bundles.manifest import MANIFEST, RESULTS
from harmbench.errors import UserError


def rewritten(path, changes):
    """Write a copy of a zip file, with files replaced, added, or left out where None."""
    target = path.with_name(f"changed-{path.name}")
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(target, "w") as new:
        files = {name: old.read(name) for name in old.namelist()} | changes
        for name, content in files.items():
            if content is not None:
                new.writestr(name, content)
    return target


def with_manifest(path, **changes):
    with zipfile.ZipFile(path) as archive:
        content = json.loads(archive.read(MANIFEST)) | changes
    return rewritten(path, {MANIFEST: json.dumps(content)})


def test_a_bundle_is_read_as_it_was_written(bundle, tmp_path):
    archive = read_archive(bundle(author="A. Author", note="a trial"))
    assert (archive.manifest.title, archive.manifest.author) == ("lab", "A. Author")
    assert archive.manifest.boards[0].questions.keys() == {"domain1"}
    copy = tmp_path / "copy.harmbench.zip"
    files = {name: content for name, content in archive.files.items() if name != MANIFEST}
    write_archive(copy, archive.manifest, files)
    assert copy.read_bytes() == (tmp_path / "lab.harmbench.zip").read_bytes()
    assert read_archive(copy).key == archive.key


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({RESULTS: b"{}\n"}, f"damaged: {RESULTS} has another size"),
        ({RESULTS: None}, f"damaged: {RESULTS} is missing"),
        ({"added.py": b""}, "damaged: added.py is not in the manifest"),
        ({MANIFEST: None}, f"it has no {MANIFEST}"),
        ({MANIFEST: b"no JSON"}, f"its {MANIFEST} is not JSON"),
    ],
)
def test_a_changed_bundle_is_refused(bundle, changes, complaint):
    with pytest.raises(UserError, match=complaint) as caught:
        read_archive(rewritten(bundle(), changes))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"format": "another program"}, "another format"),
        ({"schema_version": 2}, "schema 2"),
        ({"schema_version": "1.5"}, "schema_version"),
        ({"results": "many"}, "results"),
        ({"extra": 1}, "extra"),
        ({"files": {}}, f"lists no {RESULTS}"),
    ],
)
def test_a_manifest_of_another_format_is_refused(bundle, changes, complaint):
    with pytest.raises(UserError, match=complaint) as caught:
        read_archive(with_manifest(bundle(), **changes))
    assert "\n" not in str(caught.value)


def test_a_changed_byte_is_found(bundle):
    path = bundle()
    with zipfile.ZipFile(path) as archive:
        content = archive.read(RESULTS)
    changed = rewritten(path, {RESULTS: content.replace(b"unet", b"UNET")})
    with pytest.raises(UserError, match=f"damaged: {RESULTS} differs from its checksum"):
        read_archive(changed)


def test_a_truncated_file_is_refused_at_every_length(bundle, tmp_path):
    content = bundle().read_bytes()
    part = tmp_path / "part.harmbench.zip"
    for length in range(0, len(content), len(content) // 40):
        part.write_bytes(content[:length])
        with pytest.raises(UserError, match=r"part\.harmbench\.zip is no bundle"):
            read_archive(part)


def test_a_flipped_bit_is_refused_or_harmless(bundle, tmp_path):
    path = bundle()
    content, archive = path.read_bytes(), read_archive(path)
    changed = tmp_path / "changed.harmbench.zip"
    refused = 0
    for place in range(0, len(content), len(content) // 100):
        changed.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        try:
            assert read_archive(changed).files == archive.files
        except UserError:
            refused += 1
    assert refused > 50


@pytest.mark.parametrize("name", ["../outside.py", "/outside.py", ".hidden", "folder/a.py"])
def test_a_file_outside_of_the_folder_is_refused(bundle, name):
    path = bundle()
    with zipfile.ZipFile(path) as archive:
        content = json.loads(archive.read(MANIFEST))
    content["files"][name] = content["files"][RESULTS]
    changed = rewritten(path, {MANIFEST: json.dumps(content), name: b""})
    with pytest.raises(UserError, match="no valid name"):
        read_archive(changed)
