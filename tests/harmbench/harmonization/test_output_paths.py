"""Paths that cannot work are refused before anything is computed."""

from __future__ import annotations

import pytest

from harmbench.errors import UserError
from harmbench.harmonization.output_paths import (
    OutputPaths,
    check_folder_paths,
    check_scan_paths,
)


@pytest.fixture
def scan(tmp_path):
    path = tmp_path / "scan.nii.gz"
    path.touch()
    return path


@pytest.mark.parametrize(
    ("output", "mask", "figure", "message"),
    [
        ("out.nii.gz", "mask.nii", "figure.png", None),
        ("out.mgz", None, None, r"--output.*out\.mgz"),
        ("out.nii", "mask.png", None, r"--mask.*mask\.png"),
        ("out.nii", None, "figure.jpg", r"--figure.*figure\.jpg"),
        ("nowhere/out.nii", None, None, "nowhere.*--output"),
        ("scan.nii.gz", None, None, r"--output.*scan\.nii\.gz"),
        ("out.nii", "out.nii", None, "--output, --mask"),
    ],
)
def test_paths_of_a_scan(scan, tmp_path, output, mask, figure, message):
    mask, figure = (None if name is None else tmp_path / name for name in (mask, figure))
    outputs = OutputPaths(tmp_path / output, mask, figure)
    if message is None:
        check_scan_paths(scan, None, outputs)
        assert outputs.sidecar == tmp_path / "out.json"
        return
    with pytest.raises(UserError, match=message):
        check_scan_paths(scan, None, outputs)


def test_a_brain_mask_is_not_overwritten(scan, tmp_path):
    mask = tmp_path / "mask.nii"
    mask.touch()
    outputs = OutputPaths(tmp_path / "out.nii", mask, None)
    with pytest.raises(UserError, match=r"--mask.*mask\.nii"):
        check_scan_paths(scan, mask, outputs)


@pytest.mark.parametrize("name", ["brain_mask", "mask", "figure"])
def test_paths_of_a_single_scan_do_not_go_with_a_folder(tmp_path, name):
    paths = {"brain_mask": None, "mask": None, "figure": None, name: tmp_path / "file"}
    with pytest.raises(UserError, match=f"--{name.replace('_', '-')}.*{tmp_path.name}"):
        check_folder_paths(tmp_path, tmp_path / "out", **paths)


def test_a_folder_needs_a_folder(scan, tmp_path):
    with pytest.raises(UserError, match=r"--output.*scan\.nii\.gz"):
        check_folder_paths(tmp_path, scan, brain_mask=None, mask=None, figure=None)
