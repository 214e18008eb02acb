"""The memory of a scan is estimated from its header alone."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from harmbench.preprocessing.brain_tools import Extractor
from harmbench.preprocessing.masking import BrainSource
from harmbench.preprocessing.memory_need import HARMONIZE_BYTES_PER_VOXEL, memory_need

GB = 2**30


def source(path, extractor=None):
    return BrainSource(path=path, mask=None, content="", extractor=extractor)


def need(path, extractor=None):
    return memory_need(source(path, extractor), HARMONIZE_BYTES_PER_VOXEL)


@pytest.fixture
def scan(tmp_path):
    """A file of half a millimetre that has a header and no voxels."""
    header = nib.Nifti1Header()
    header.set_data_shape((480, 480, 360))
    header.set_data_dtype(np.int16)
    path = tmp_path / "scan.nii"
    path.write_bytes(header.binaryblock + bytes(4))
    return path


def test_a_scan_of_half_a_millimetre_needs_the_memory_that_was_measured(scan):
    # 3.9 GB were measured for this shape, before figures were drawn.
    assert 3.9 * GB < need(scan) < 6 * GB


@pytest.mark.parametrize("content", [None, b"", b"/annex/objects/SHA256E-s1--0.nii.gz"])
def test_a_file_that_cannot_be_read_needs_no_memory_of_its_own(tmp_path, content):
    path = tmp_path / "scan.nii.gz"
    if content is not None:
        path.write_bytes(content)
    assert need(path) < GB


def test_a_tool_for_brain_extraction_sets_a_minimum(tmp_path):
    missing = tmp_path / "missing.nii"
    assert need(missing, Extractor("tool", Path("tool"), "1")) > GB > need(missing)
