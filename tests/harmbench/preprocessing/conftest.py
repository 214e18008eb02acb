"""A folder of programs on the PATH, and a realistic head."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from scipy import ndimage

from helpers.brain_extraction import Tools
from helpers.volumes import sampled


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tools:
    """A folder of programs that is first on the PATH; no tool is installed elsewhere."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}/usr/bin{os.pathsep}/bin")
    return Tools(folder)


@pytest.fixture(scope="session")
def head() -> Any:
    """A head at 3 mm: the template's brain in fluid, bone and scalp, a face, a neck and noise.

    Read only.
    """
    affine = np.diag([3.0, 3.0, 3.0, 1.0])
    affine[:3, 3] = [-108, -150, -156]
    brain = sampled(np.eye(4), affine, (73, 88, 90))
    away = ndimage.distance_transform_edt(brain == 0, sampling=3.0)
    x, y, z = (
        start + 3.0 * axis
        for start, axis in zip(affine[:3, 3], np.indices(brain.shape), strict=True)
    )
    neck = ((x / 55) ** 2 + ((y + 30) / 60) ** 2 < 1) & (z < -40)
    face = (x / 65) ** 2 + ((y - 45) / 45) ** 2 + ((z + 60) / 65) ** 2 < 1
    bright = np.percentile(brain[brain > 0], 95)
    whole = np.select(
        [brain > 0, away <= 3, neck | face, away <= 8, away <= 16],
        [brain, 0.2 * bright, 0.45 * bright, 0.08 * bright, 1.1 * bright],
    )
    noise = 0.02 * bright * np.random.default_rng(0).standard_normal((2, *brain.shape))
    data = np.hypot(whole + noise[0], noise[1]).astype(np.float32)
    data.setflags(write=False)
    return nib.Nifti1Image(data, affine)
