"""Where tensors live."""

from __future__ import annotations

import pytest
import torch

from harmbench.errors import UserError
from harmbench.util.device import describe, resolve, watched


def test_auto_selects_the_best_device():
    assert resolve("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")
    assert resolve("cpu") == torch.device("cpu")


@pytest.mark.parametrize("name", ["auto", "cuda", "cuda:0"])
def test_a_gpu_has_its_index(monkeypatch, name):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert resolve(name) == torch.device("cuda", 0)
    assert resolve("cuda:1") == torch.device("cuda", 1)


def test_a_missing_device_is_named():
    missing = f"cuda:{torch.cuda.device_count()}"
    with pytest.raises(UserError, match=f"no device '{missing}' .*cpu"):
        resolve(missing)
    with pytest.raises(UserError, match="no device 'gpu'"):
        resolve("gpu")


def test_the_hardware_is_named_for_the_record():
    assert describe(torch.device("cpu")).startswith("cpu: ")


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_cuda_devices_are_found_and_named():
    assert resolve("cuda").type == "cuda"
    assert torch.cuda.get_device_name(0) in describe(resolve("cuda:0"))


def test_a_cpu_has_no_measurements():
    with watched(torch.device("cpu")) as facts:
        pass
    assert facts == {}


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_gpu_is_watched():
    with watched(torch.device("cuda:0")) as facts:
        torch.empty(2**28, dtype=torch.uint8, device="cuda:0")
    assert facts["gpu_peak_memory_mib"] >= 256
