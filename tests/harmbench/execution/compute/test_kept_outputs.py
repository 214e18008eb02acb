"""Outputs on disk, of one cell or of several."""

from __future__ import annotations

import dataclasses
import shutil

import pytest
import torch

from harmbench.execution.compute.kept_outputs import KeptOutputs
from harmbench.testing.tiny import tiny_cohort


@pytest.fixture
def source():
    return tiny_cohort().scans("domain1", "train").load([0, 1])


@pytest.mark.parametrize("flags", [None, ("dark", "")])
def test_outputs_are_read_back_to_the_bit(tmp_path, source, flags):
    kept = KeptOutputs(tmp_path / ".key.outputs")
    assert 1 not in kept
    output = dataclasses.replace(source, images=source.images / 3, flags=flags)
    kept.save(1, output, 2.5)
    assert 1 in kept
    assert 2 in kept
    assert 0 not in kept
    assert kept.load([0, 1]) is None
    images, again, seconds = kept.load([1, 2])
    assert torch.equal(images, output.images)
    assert (again, seconds) == (flags, 2.5)


def test_a_damaged_file_is_no_output(tmp_path, source):
    kept = KeptOutputs(tmp_path)
    kept.save(0, source, 1.0)
    path = tmp_path / "00000.npz"
    content = path.read_bytes()
    for damaged in (b"", content[:100], content[:-100], content[:200] + b"x" + content[201:]):
        path.write_bytes(damaged)
        assert 0 not in kept
        assert kept.load([0]) is None


@pytest.mark.parametrize("links", [True, False])
def test_shared_outputs_are_those_of_each_cell_until_it_ends(tmp_path, source, monkeypatch, links):
    if not links:  # as on some network drives

        def refuse(*paths):
            raise OSError("not supported")

        monkeypatch.setattr("os.link", refuse)
    shared = tmp_path / "shared"
    first, second = (KeptOutputs(tmp_path / name, shared) for name in ("first", "second"))
    first.save(0, source, 1.0)
    assert 0 not in second
    with pytest.raises(ValueError, match="batch"), second.checking():
        raise ValueError("depends on the batch")
    assert 0 not in second
    with first.checking():
        pass
    assert 0 in second
    shutil.rmtree(shared)
    shutil.rmtree(tmp_path / "first")
    assert 0 in second
    assert 1 not in second
    images, *_ = second.load([0])
    assert torch.equal(images[0], source.images[0])


def test_a_damaged_shared_file_is_computed_again(tmp_path, source):
    first, second = (KeptOutputs(tmp_path / name, tmp_path / "shared") for name in "ab")
    first.save(0, source, 1.0)
    with first.checking():
        pass
    (tmp_path / "shared" / "00000.npz").write_bytes(b"damaged")
    assert 0 not in second
    second.save(0, source, 1.0)
    assert 0 in second
