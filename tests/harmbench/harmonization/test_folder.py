"""A folder is harmonised by as many processes as the memory is enough for."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest

from harmbench.harmonization.folder import default_processes
from harmbench.util import available_memory
from helpers.command_line import inside
from helpers.registrations import reuse_registration, share_registrations
from helpers.volumes import coarse

__all__ = ["inside"]


def test_a_smaller_number_of_processes_is_stated(inside, tmp_path, monkeypatch, registrations):
    (tmp_path / "scans").mkdir()
    nib.save(coarse(), tmp_path / "scans" / "a.nii")
    share_registrations(registrations, tmp_path / "home")
    reuse_registration(tmp_path / "home", tmp_path / "scans" / "a.nii")
    empty = nib.Nifti1Image(np.zeros((20, 20, 20), np.float32), np.eye(4))
    nib.save(empty, tmp_path / "scans" / "b.nii")
    monkeypatch.setattr(available_memory, "available_memory", lambda: 2**29)
    arguments = (
        "scans",
        "-o",
        "out",
        "-m",
        "identity",
        "--no-figure",
        "--jobs",
        "2",
        "--brain-extraction",
        "none",
    )
    code, out, err = inside("harmonize", *arguments)
    assert (code, "1 left out" in out) == (1, True)
    assert "note: 1 instead of 2 processes" in err


@pytest.mark.parametrize(("device", "count"), [("cpu", 4), ("cuda:0", 1), ("mps", 1)])
def test_a_gpu_is_opened_by_one_process(monkeypatch, device, count):
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: range(4), raising=False)
    assert default_processes(device) == count
