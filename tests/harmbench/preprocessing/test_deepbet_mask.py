"""deepbet on a head of the template, and where it must fail."""

from __future__ import annotations

import sys
import warnings
from typing import Any

import numpy as np
import pytest
import torch

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


@pytest.mark.parametrize(
    "message",
    ["CUDA error: out of memory", "CUDA error: CUBLAS_STATUS_ALLOC_FAILED", "another error"],
)
def test_a_gpu_without_free_memory_is_left_to_other_programs(
    monkeypatch: pytest.MonkeyPatch, message: str
) -> None:
    class Network:
        """Stands in for the library's, which fails on a GPU."""

        def __init__(self, *, no_gpu: bool) -> None:
            self.no_gpu = no_gpu

        def run_model(self, x: Any) -> Any:
            if not self.no_gpu:
                raise RuntimeError(message)
            return x

        def postprocess(self, mask: Any) -> Any:
            return mask

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        monkeypatch.setattr("deepbet.BrainExtraction", Network)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    volume = Volume(np.eye(60, dtype=np.float32)[None], np.diag([3.0, 3.0, 3.0, 1.0]))
    if message == "another error":
        with pytest.raises(ToolError, match=message):
            deepbet_mask(DEEPBET, volume, "a.nii")
    else:
        assert np.array_equal(deepbet_mask(DEEPBET, volume, "a.nii"), volume.data > 0)


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
