"""deepbet on a head of the template, and where it must fail."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest

from harmbench.errors import BadScanError
from harmbench.preprocessing.brain_tools import Extractor, ToolError
from harmbench.preprocessing.deepbet_mask import deepbet_mask
from harmbench.preprocessing.nifti_read import Volume
from helpers.volumes import sampled, volume_of

DEEPBET = Extractor("deepbet", "1")


def test_deepbet_finds_the_brain_and_prints_nothing(
    head: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    volume = volume_of(head)
    before = volume.data.copy()
    mask = deepbet_mask(DEEPBET, volume, "head.nii.gz")
    brain = sampled(np.eye(4), volume.affine, volume.data.shape) > 0
    assert 2 * (mask & brain).sum() / (mask.sum() + brain.sum()) > 0.95
    assert np.array_equal(volume.data, before)
    assert capfd.readouterr() == ("", "")
    assert not {"tkinter", "customtkinter"} & {*sys.modules}


@pytest.mark.parametrize("value", [0, 1])
def test_a_volume_without_a_brain_gets_one_line(value: float) -> None:
    volume = Volume(np.full((60, 60, 60), value, np.float32), np.diag([3.0, 3.0, 3.0, 1.0]))
    with pytest.raises(BadScanError, match=r"^deepbet 1 finds no brain in a\.nii; check") as caught:
        deepbet_mask(DEEPBET, volume, "a.nii")
    assert not isinstance(caught.value, ToolError)


@pytest.mark.skipif(sys.platform != "linux", reason="the limit of memory is Linux's")
def test_little_memory_gets_one_line(head: Any) -> None:
    import resource

    volume = volume_of(head)
    deepbet_mask_size = 4 * 256**3  # bytes of its input
    with open("/proc/self/statm") as stream:  # noqa: PTH123
        used = int(stream.read().split()[0]) * resource.getpagesize()
    limits = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (used + deepbet_mask_size, limits[1]))
    try:
        with pytest.raises(ToolError, match=r"deepbet 1 failed on a\.nii: out of memory; free"):
            deepbet_mask(DEEPBET, volume, "a.nii")
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limits)
