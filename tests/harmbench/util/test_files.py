"""Atomic writes."""

from __future__ import annotations

import pytest

from harmbench.util.files import atomic_write, atomic_write_bytes


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "folder" / "file"
    atomic_write_bytes(path, b"old")
    with pytest.raises(TypeError), atomic_write(path) as stream:
        stream.write("text in a binary file")  # type: ignore[arg-type]
    assert path.read_bytes() == b"old"
    assert list(path.parent.iterdir()) == [path]


def test_two_writers_of_one_file_do_not_disturb_each_other(tmp_path):
    path = tmp_path / "file"
    with atomic_write(path) as first:
        first.write(b"first")
        atomic_write_bytes(path, b"second")
        assert path.read_bytes() == b"second"
    assert path.read_bytes() == b"first"
    assert list(tmp_path.iterdir()) == [path]
