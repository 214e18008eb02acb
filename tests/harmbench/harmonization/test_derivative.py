"""The output of a folder is a BIDS derivative that names no path of the machine."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote

import nibabel as nib
import pytest

from helpers.command_line import inside
from helpers.registrations import reuse_registration, share_registrations
from helpers.volumes import coarse

__all__ = ["inside"]

VALIDATOR = Path(sys.executable).with_name("bids-validator-deno")
SCANS = (
    "sub-01/ses-a/anat/sub-01_ses-a_run-1_T1w",
    "sub-01/ses-b/anat/sub-01_ses-b_acq-x_rec-y_T1w",
    "sub-02/anat/sub-02_desc-pre_T1w",
)


@pytest.fixture
def study(tmp_path, registrations):
    """A BIDS folder with a blank in its name: sessions, a run and other entities."""
    share_registrations(registrations, tmp_path / "home")
    root = tmp_path / "my study"
    for name in SCANS:
        path = root / f"{name}.nii.gz"
        path.parent.mkdir(parents=True)
        nib.save(coarse(), path)
        reuse_registration(tmp_path / "home", path)
    return root


def texts(folder):
    return {path: path.read_text() for path in folder.rglob("*.json")}


def test_a_derivative_links_to_its_scans_by_a_relative_path(inside, study, tmp_path, one_core):
    out = study / "derivatives" / "harmonized"
    code, _, err = inside("harmonize", study, "-o", out, "-m", "identity", "--no-figure")
    assert code == 0, err
    assert len(texts(out)) == 1 + len(SCANS)
    assert not [path for path, text in texts(out).items() if str(tmp_path) in text]
    moved = Path(shutil.move(study, tmp_path / "moved")) / "derivatives" / "harmonized"
    description = json.loads((moved / "dataset_description.json").read_text())
    raw = moved / unquote(description["DatasetLinks"]["raw"])
    assert description["SourceDatasets"] == [{"URL": description["DatasetLinks"]["raw"]}]
    for path in moved.rglob("*_T1w.json"):
        (source,) = json.loads(path.read_text())["Sources"]
        assert (raw / source.removeprefix("bids:raw:")).is_file()


def test_the_sidecar_of_a_single_scan_names_no_folder(inside, study, tmp_path):
    scan = study / f"{SCANS[-1]}.nii.gz"
    code, _, err = inside("harmonize", scan, "-o", "out.nii.gz", "-m", "identity", "--no-figure")
    assert code == 0, err
    sidecar = json.loads((tmp_path / "out.json").read_text())
    assert sidecar["Sources"] == [scan.name]
    assert str(tmp_path) not in json.dumps(sidecar)


@pytest.mark.slow
@pytest.mark.skipif(not VALIDATOR.exists(), reason="bids-validator-deno is not installed")
def test_the_bids_validator_finds_no_errors(inside, study, tmp_path, one_core):
    out = study / "derivatives" / "harmonized"
    code, _, err = inside("harmonize", study, "-o", out, "-m", "identity")
    assert code == 0, err
    assert len(list(out.rglob("*.png"))) == len(SCANS)
    report = subprocess.run(
        [VALIDATOR, out, "--format", "json"],
        env={**os.environ, "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    issues = json.loads(report.stdout)["issues"]["issues"]
    assert issues, "the validator has read the folder: warnings are expected"
    assert not [issue for issue in issues if issue["severity"] == "error"]
