"""`harmbench harmonize` of folders: derivatives, kills, and several processes."""

from __future__ import annotations

import json
import shutil

import pytest

from helpers import PLUGINS, words
from helpers.harmonizing import voxels
from helpers.interruption import interrupted

ODD_METHODS = ("--plugin", PLUGINS / "odd_methods.py")


def test_a_folder_becomes_a_derivative_without_the_bad_scan(inside, study, tmp_path):
    bad = study / "sub-b" / "anat" / "sub-b_T1w.nii.gz"
    bad.write_bytes(bad.read_bytes()[:2000])
    folder = study / "derivatives" / "left"
    arguments = ("harmonize", study, "-o", folder, *words("-m left --plugin left.py --jobs 1"))
    code, out, err = inside(*arguments)
    assert code == 1
    assert out.startswith("3 scans: 2 harmonised, 0 already existed, 1 left out")
    assert "left out sub-b/anat/sub-b_T1w.nii.gz: sub-b_T1w.nii.gz is truncated" in err
    result = study / "derivatives" / "left"
    files = {path.relative_to(result).as_posix() for path in result.rglob("*") if path.is_file()}
    stems = [f"sub-{subject}/anat/sub-{subject}_desc-harmonized_" for subject in "ac"]
    endings = ("T1w.nii.gz", "T1w.json", "T1w.png", "mask.nii.gz")
    assert files == {"dataset_description.json", ".bidsignore"} | {
        s + e for s in stems for e in endings
    }
    description = json.loads((result / "dataset_description.json").read_text())
    assert description["DatasetType"] == "derivative"
    assert description["GeneratedBy"][0]["Name"] == "harmbench"
    assert description["GeneratedBy"][0]["Method"] == "left"
    sidecar = json.loads((result / f"{stems[0]}T1w.json").read_text())
    assert sidecar["Sources"] == ["bids:raw:sub-a/anat/sub-a_T1w.nii.gz"]
    code, out, _ = inside(*arguments)  # its own output, inside of the tree, is no input
    assert out.startswith("3 scans: 0 harmonised, 2 already existed, 1 left out")
    code, _, err = inside(*arguments[:4], "-m", "identity")
    assert code == 2
    assert "holds scans of another fit: left, fit none" in err


@pytest.mark.slow  # that written scans are kept is tested above
def test_a_killed_folder_run_resumes(start, inside, study, tmp_path):
    arguments = ("harmonize", study, "-o", "out", "-m", "identity", "--jobs", "1")
    first = tmp_path / "out" / "sub-a" / "anat" / "sub-a_desc-harmonized_T1w.nii.gz"
    interrupted(start(*arguments), first.exists)
    written = first.stat().st_mtime_ns
    code, out, errors = inside(*arguments)
    assert code == 0, errors
    assert "0 left out" in out
    assert first.stat().st_mtime_ns == written
    assert len(list((tmp_path / "out").rglob("*_T1w.nii.gz"))) == 3
    assert not list((tmp_path / "out").rglob(".*part"))


@pytest.mark.slow  # `tests/harmbench/util/test_processes.py` tests the processes themselves
def test_a_folder_in_two_processes_gives_the_same_bytes(inside, study, tmp_path):
    arguments = ("harmonize", study, "-m", "left", "--plugin", tmp_path / "left.py", "--no-figure")
    for out, jobs in (("one", 1), ("two", 2)):
        code, _, errors = inside(*arguments, "-o", out, "--jobs", jobs)
        assert code == 0, errors
    for path in (tmp_path / "one").rglob("*.nii.gz"):
        other = tmp_path / "two" / path.relative_to(tmp_path / "one")
        assert path.read_bytes() == other.read_bytes()


def test_a_folder_without_bids_names_keeps_the_names(inside, study, tmp_path, known):
    plain = tmp_path / "plain"
    plain.mkdir()
    shutil.copy(known / "a.nii.gz", plain / "first.nii.gz")
    code, _, err = inside("harmonize", plain, "-o", "out", "-m", "identity", "--no-figure")
    assert code == 0, err
    assert voxels(tmp_path / "out" / "first.nii.gz") == voxels(plain / "first.nii.gz")
    assert (tmp_path / "out" / "first_mask.nii.gz").exists()


def test_a_failing_method_is_named_and_its_scan_left_out(inside, study):
    code, out, err = inside(
        "harmonize", study, *words("-o out -m out-of-range --jobs 1"), *ODD_METHODS
    )
    assert code == 1
    assert "3 left out" in out
    assert err.count("out-of-range failed: ContractError: expected intensities in [0, 1]") == 3
