"""Cached masks: made once, and made again if their file is damaged."""

from __future__ import annotations

import gzip
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from harmbench.preprocessing.brain_tools import find_extractor
from harmbench.preprocessing.mask_cache import cached_mask, mask_path
from helpers.brain_extraction import Tools, head_of
from helpers.volumes import coarse, volume_of


@pytest.mark.parametrize("damage", ["text", "truncated", "empty mask", "another scan's"])
def test_a_damaged_mask_is_made_again(tmp_path: Path, tools: Tools, damage: str) -> None:
    tools.install("mri_synthstrip")
    extractor = find_extractor("auto")
    assert extractor is not None
    volume = volume_of(head_of(coarse()))
    first = cached_mask(extractor, volume, "a.nii.gz", "content", tmp_path)
    assert np.array_equal(cached_mask(extractor, volume, "a.nii.gz", "content", tmp_path), first)
    assert len(tools.called) == 1

    path = mask_path(extractor, "content", tmp_path)
    good = path.read_bytes()
    if damage == "text":
        path.write_text("mask")
    elif damage == "truncated":
        path.write_bytes(good[: len(good) // 2])
    else:
        shape = volume.data.shape if damage == "empty mask" else (40, 40, 40)
        other = nib.Nifti1Image(np.zeros(shape, np.uint8), volume.affine)
        path.write_bytes(gzip.compress(other.to_bytes()))
    assert np.array_equal(cached_mask(extractor, volume, "a.nii.gz", "content", tmp_path), first)
    assert len(tools.called) == 2
    assert path.read_bytes() == good
