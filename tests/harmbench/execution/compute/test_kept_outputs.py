"""The outputs of a cell that is not finished."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from harmbench.execution.compute.kept_outputs import KeptOutputs
from harmbench.testing.tiny import tiny_cohort


@pytest.fixture
def source():
    return tiny_cohort().scans("domain1", "test").load([0])


@pytest.mark.parametrize("flags", [(), ("dark",)])
def test_an_output_is_read_back_to_the_bit(tmp_path, source, flags):
    kept = KeptOutputs(tmp_path / ".key.outputs")
    assert 1 not in kept
    output = dataclasses.replace(source, images=source.images / 3, flags=flags)
    kept.save(1, output, 2.5)
    assert 1 in kept
    assert 0 not in kept
    again, seconds = kept.load(1, source)
    assert torch.equal(again.images, output.images)
    assert (again.flags, again.subjects, seconds) == (flags, source.subjects, 2.5)


def test_a_damaged_file_is_no_output(tmp_path, source):
    kept = KeptOutputs(tmp_path)
    kept.save(0, source, 1.0)
    (path,) = tmp_path.iterdir()
    content = path.read_bytes()
    for damaged in (b"", content[:100], content[:-100], content[:200] + b"x" + content[201:]):
        path.write_bytes(damaged)
        assert 0 not in kept
