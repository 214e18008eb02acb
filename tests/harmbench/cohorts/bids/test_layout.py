"""BIDS folders: the real layouts of three published studies, and what small ones may contain."""

from __future__ import annotations

import json
import shutil

import pytest

from harmbench.cohorts.bids.layout import read_layout
from harmbench.errors import UserError
from helpers import ROOT

DATASETS = ROOT.parent / "shared" / "datasets"


@pytest.mark.skipif(not DATASETS.is_dir(), reason="the layouts of ../shared/datasets are absent")
@pytest.mark.parametrize(
    ("name", "subjects", "sessions", "files"),
    [("ds004712", 20, 165, 165), ("ds003011", 4, 30, 48), ("ds000206", 6, 47, 67)],
)
def test_published_layouts_are_read(tmp_path, name, subjects, sessions, files):
    root = tmp_path / name
    shutil.copytree(DATASETS / name, root)
    scans = [
        path
        for path in (root / "T1w_files.txt").read_text().split()
        if path.endswith("_T1w.nii.gz")
    ]
    for path in scans:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).touch()
    layout = read_layout(root)
    assert not layout.left_out
    found = [scan.path.relative_to(root).as_posix() for scan in layout.scans]
    assert sorted(found) == sorted(scans)
    preferred = layout.preferred
    assert (len({scan.subject for scan in preferred}), len(preferred), len(scans)) == (
        subjects,
        sessions,
        files,
    )
    # A table says something of every subject, and a session has its first run.
    assert all(scan.participant for scan in preferred) == (name != "ds000206")
    assert all(scan.entities.get("run", "1").lstrip("0") == "1" for scan in preferred)


def test_covariates_are_of_subject_and_session(empty_study):
    empty_study.add("sub-a/ses-1/anat/sub-a_ses-1_T1w.nii.gz")
    empty_study.add("sub-a/ses-2/anat/sub-a_ses-2_T1w.nii.gz")
    empty_study.write_table("a\t30\tF\tx\n", "participant_id\tage\tsex\tperson")
    table = empty_study.root / "sub-a" / "sub-a_sessions.tsv"
    table.write_text("session_id\tage\tscanner\nses-1\tn/a\tA\n2\t32\tB\n")
    scans = {scan.session: scan for scan in empty_study.layout().scans if scan.label == "a"}
    assert {name: scan.covariates for name, scan in scans.items()} == {
        "1": {"age": "30", "sex": "F", "scanner": "A"},
        "2": {"age": "32", "sex": "F", "scanner": "B"},
    }
    assert scans["2"].session_row["scanner"] == "B"
    assert scans["2"].subject == "x"


def test_two_sidecars_of_one_folder_are_reported_with_their_scans(empty_study):
    empty_study.add("sub-a/anat/sub-a_acq-x_T1w.nii.gz")
    for name, content in (("T1w.json", {"a": 1}), ("acq-x_T1w.json", {"b": 1})):
        (empty_study.root / name).write_text(json.dumps(content))
    (note,) = empty_study.layout().notes
    assert note.endswith("BIDS allows one: sub-a_acq-x_T1w.nii.gz")


def test_a_dangling_sidecar_leaves_out_its_scan_alone(empty_study):
    folder = empty_study.root / "sub-a" / "anat"
    (folder / "sub-a_T1w.nii.gz").rename(folder / "sub-a_run-1_T1w.nii.gz")
    (folder / "sub-a_run-1_T1w.json").symlink_to(".git/annex/objects/x/y/z.json")
    empty_study.add("sub-a/anat/sub-a_run-2_T1w.nii.gz")
    layout = empty_study.layout()
    assert "sub-a_run-2_T1w.nii.gz" in [scan.path.name for scan in layout.preferred]
    ((name, reason),) = layout.left_out.items()
    assert name == "sub-a/anat/sub-a_run-1_T1w.nii.gz"
    assert reason.startswith("its sidecar sub-a_run-1_T1w.json is a broken link, since git-annex")


def test_a_dangling_table_has_its_cure(empty_study):
    table = empty_study.root / "participants.tsv"
    table.unlink()
    table.symlink_to(".git/annex/objects/x/y/z.tsv")
    with pytest.raises(UserError, match=r"participants\.tsv is a broken link, .*`datalad get "):
        empty_study.layout()
