"""Programs that fail, are killed or write no valid mask: one line names scan and program."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from harmbench.preprocessing import brain_programs
from harmbench.preprocessing.brain_tools import Extractor, ToolError, find_extractor
from harmbench.preprocessing.mask_cache import cached_mask
from harmbench.preprocessing.nifti_read import Volume
from helpers.brain_extraction import THRESHOLD, Tools, head_of
from helpers.volumes import coarse, volume_of

WRITING = """#!{{python}}
import sys
import nibabel as nib, numpy as np
given = dict(zip(sys.argv[1:], sys.argv[2:]))
image = nib.load(given["-i"])
data = np.asarray(image.dataobj)
nib.save(nib.Nifti1Image(({mask}).astype(np.uint8), {affine}), given["-m"])
"""


def writing(mask: str, affine: str = "image.affine") -> str:
    return WRITING.format(mask=mask, affine=affine)


@pytest.fixture(scope="module")
def head() -> Volume:
    return volume_of(head_of(coarse()))


def synthstrip(tools: Tools, text: str) -> Extractor:
    tools.install("mri_synthstrip", text)
    return Extractor("mri_synthstrip", "7.4", tools.folder / "mri_synthstrip")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("#!/bin/sh\nexit 0\n", "failed on a.nii.gz (no mask written): no output"),
        ("#!/bin/sh\necho x; echo no licence >&2; exit 3\n", "a.nii.gz (exit code 3): no licence"),
        ("#!/nowhere/python\n", "cannot be started: No such file"),
        ("#!/bin/sh\nkill -9 $$\n", "was killed on a.nii.gz (SIGKILL, most likely for lack of mem"),
        # As a shell script returns it when its child is killed.
        ("#!/bin/sh\nexit 137\n", "was killed on a.nii.gz (SIGKILL, most likely for lack of mem"),
        ("#!/bin/sh\nkill -11 $$\n", "was killed on a.nii.gz (SIGSEGV)"),
        (
            "#!/bin/sh\necho done > $4\n",
            "no valid mask of a.nii.gz: mask.nii.gz is not a gzip file",
        ),
        (writing("np.stack([data > 0.15] * 3, -1)"), "no valid mask of a.nii.gz: mask.nii.gz has"),
        (writing("(data > 0.15)[:-1]"), "no valid mask of a.nii.gz: mask.nii.gz has shape"),
        (
            writing("data > 0.15", "image.affine + np.diag([0.2, 0, 0, 0])"),
            "no valid mask of a.nii.gz: mask.nii.gz is",
        ),
        (writing("data > 99"), "mri_synthstrip 7.4 made of a.nii.gz is empty"),
        (writing("data > -1"), "mri_synthstrip 7.4 made of a.nii.gz has 10.7 L (expected <= 2.2"),
    ],
)
def test_a_failure_names_scan_and_program_and_is_tried_again(
    tmp_path: Path, tools: Tools, head: Volume, text: str, reason: str
) -> None:
    broken = synthstrip(tools, text)
    with pytest.raises(ToolError) as caught:
        cached_mask(broken, head, "a.nii.gz", "content", tmp_path)
    line = str(caught.value)
    assert reason in line
    assert "mri_synthstrip 7.4" in line
    assert "\n" not in line
    assert str(tmp_path) not in line
    assert not list((tmp_path / "masks").glob("*.nii.gz"))


def test_a_program_that_hangs_ends_at_its_timeout_and_frees_the_others(
    tmp_path: Path, tools: Tools, head: Volume, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(brain_programs, "_TIMEOUT_SECONDS", 0.5)
    # A child of the program holds its output open.
    hanging = synthstrip(tools, "#!/bin/sh\necho started\nsleep 20 & wait\n")
    began = time.monotonic()
    with pytest.raises(
        ToolError, match=r"^mri_synthstrip 7\.4 did not end within .* on a\.nii\.gz$"
    ):
        cached_mask(hanging, head, "a.nii.gz", "content", tmp_path)
    assert time.monotonic() - began < 10
    working = synthstrip(tools, THRESHOLD)
    assert cached_mask(working, head, "a.nii.gz", "content", tmp_path).any()


def test_the_next_command_runs_a_failed_program_again(
    tmp_path: Path, tools: Tools, head: Volume
) -> None:
    tools.install_failing("mri_synthstrip")
    extractor = find_extractor("mri_synthstrip")
    assert extractor is not None
    with pytest.raises(ToolError, match="no space"):
        cached_mask(extractor, head, "a.nii.gz", "content", tmp_path)
    tools.repair()
    mask = cached_mask(extractor, head, "a.nii.gz", "content", tmp_path)
    assert np.array_equal(mask, head.data > 0.15)


def test_any_orientation_of_the_mask_is_read(tmp_path: Path, tools: Tools, head: Volume) -> None:
    flipped = "(data > 0.15)[:, ::-1]"
    affine = "image.affine @ [[1,0,0,0],[0,-1,0,data.shape[1]-1],[0,0,1,0],[0,0,0,1]]"
    extractor = synthstrip(tools, writing(flipped, affine))
    mask = cached_mask(extractor, head, "a.nii.gz", "content", tmp_path)
    assert np.array_equal(mask, head.data > 0.15)
