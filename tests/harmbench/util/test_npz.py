"""Every kind of damage of a `.npz` file is one kind of error."""

from __future__ import annotations

import io

import numpy as np
import pytest

from harmbench.util.npz import read_npz

ARRAYS = {"images": np.arange(24).reshape(2, 3, 4), "names": np.array(["a", "b"])}


def written(path, **arrays):
    np.savez_compressed(path, **arrays)
    return path


def array_file():
    stream = io.BytesIO()
    np.save(stream, ARRAYS["images"])
    return stream.getvalue()


def test_all_arrays_are_read(tmp_path):
    read = read_npz(written(tmp_path / "a.npz", **ARRAYS))
    assert read.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(read[name], array)


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: b"no archive",
        lambda content: array_file(),
        lambda content: content[: len(content) // 2],
        *(lambda content, at=at: content[:at] + b"\0\0\0" + content[at + 3 :] for at in (60, 90)),
    ],
)
def test_a_damaged_file_is_a_value_error_that_names_it(tmp_path, damage):
    path = written(tmp_path / "a.npz", **ARRAYS)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ValueError, match=r"a\.npz is no complete \.npz file"):
        read_npz(path)


def test_pickled_objects_are_not_read(tmp_path):
    path = written(tmp_path / "a.npz", objects=np.array([{}], dtype=object))
    with pytest.raises(ValueError, match=r"a\.npz"):
        read_npz(path)


def test_a_missing_file_is_an_os_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_npz(tmp_path / "a.npz")
