"""Studies from files to a prepared cohort: damaged files, doubtful pairs, several labels."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest
from scipy import ndimage

from harmbench.cohorts.bids.source import Bids
from harmbench.data.cohort import Cohort
from harmbench.data.scans import GRIDS, Grid
from harmbench.util.progress import Silent
from helpers.volumes import coarse, save_as_file_of

GRID = Grid("tiny", (5, 18, 22), (12.0, 9.6, 9.6))


class Log(Silent):
    def __init__(self):
        self.lines = []

    def log(self, text):
        self.lines.append(text)


def opened(tree, grid=GRID, recipe=""):
    """Prepare the tree by its recipe with further lines; return the cohort and the log."""
    text = tree.recipe.read_text()
    tree.recipe.write_text(recipe + text)
    log = Log()
    return Cohort.open(Bids(str(tree.root), tree.recipe), grid, tree.home, log), log.lines


def four_subjects(tree):
    for subject, site in (("A", "here"), ("B", "here"), ("C", "there"), ("D", "there")):
        tree.add(subject, site)


def other_brain():
    """The template with other folds: displaced by a smooth field of some 7 mm."""
    image = coarse()
    data = np.asarray(image.dataobj)
    generator = np.random.default_rng(0)
    noise = [ndimage.gaussian_filter(generator.standard_normal(data.shape), 3) for _ in range(3)]
    field = [1.8 * part / part.std() for part in noise]
    places = [axis + part for axis, part in zip(np.indices(data.shape), field, strict=True)]
    moved = ndimage.map_coordinates(data, places, order=1)
    return nib.Nifti1Image(np.where(moved > 0.05, moved, 0), image.affine)


@pytest.mark.usefixtures("one_core")
def test_the_folder_of_a_study_may_have_any_name(tree):
    four_subjects(tree)
    tree.root = tree.root.rename(tree.root.with_name("Jörgs größe; 100 % #1 & {more}"))
    cohort, _ = opened(tree)
    assert set(cohort.table["subject"]) == {"A", "B", "C", "D"}
    assert not cohort.left_out
    assert cohort.scans("here")._volumes[0].source.path.parents[2] == tree.root


@pytest.mark.usefixtures("one_core")
def test_the_next_file_is_used_if_the_first_choice_is_damaged(tree):
    four_subjects(tree)
    (tree.root / "sub-A" / "anat" / "sub-A_T1w.nii.gz").unlink()
    runs = [tree.add("A", "here", run=number) for number in (1, 2, 3)]
    for path in runs[:2]:
        path.write_bytes(path.read_bytes()[:2000])
    cohort, lines = opened(tree)
    assert set(cohort.table["subject"]) == {"A", "B", "C", "D"}
    assert cohort.kind == "real"
    details = cohort.table.set_index("subject").loc["A", "details"]
    assert details["path"] == "sub-A/anat/sub-A_run-3_T1w.nii.gz"
    assert details["choice"] == "in place of sub-A_run-2_T1w.nii.gz, which cannot be used"
    # Whole scans are of the file that was used.
    scans = cohort.scans("here")
    assert scans._volumes[scans.subjects.index("A")].source.path == runs[2]
    names = [f"sub-A/anat/{path.name}" for path in runs[:2]]
    assert list(cohort.left_out) == names
    for name in names:
        assert any(line.startswith(f"left out {name}: ") for line in lines)


@pytest.mark.usefixtures("one_core")
def test_a_scan_is_registered_to_the_file_that_replaces_its_partner(tree):
    recipe = tree.recipe.read_text().replace('{ site = "there" }', '{ site = "here" }')
    recipe = recipe.replace("[labels]", "sidecar = { MagneticFieldStrength = 3 }\n[labels]")
    tree.recipe.write_text(recipe + "[pairs]\nday = 'd([0-9]+)'\nmaximum_gap_days = 10\n")
    for subject in "AB":
        for run in (1, 2):
            tree.add(subject, "here", session="d1", run=run)
        tree.add(subject, "here", session="d2", field=3)
    path = tree.root / "sub-A" / "ses-d1" / "anat" / "sub-A_ses-d1_run-1_T1w.nii.gz"
    path.write_bytes(path.read_bytes()[:2000])
    cohort, _ = opened(tree)
    scans = cohort.table.set_index(["subject", "session"])
    assert scans.loc[("A", "d2"), "details"]["pair"].endswith("sub-A_ses-d1_run-2_T1w.nii.gz")
    assert scans.loc[("B", "d2"), "details"]["pair"].endswith("sub-B_ses-d1_run-1_T1w.nii.gz")
    assert scans["paired"].all()


@pytest.mark.usefixtures("one_core")
def test_pairs_of_different_brains_are_reported_whenever_the_cohort_is_opened(tree):
    for subject in "AB":
        tree.add(subject, "here", session="1", field=1.5)
    recipe = tree.recipe.read_text().replace('{ site = "there" }', '{ site = "here" }')
    tree.recipe.write_text(
        recipe.replace("[labels]", "sidecar = { MagneticFieldStrength = 3 }\n[labels]")
    )
    tree.add("A", "here", session="2", field=3)
    tree.add("B", "here", other_brain(), session="2", field=3)
    cohort, lines = opened(tree, GRIDS["quick"])
    doubts = [line for line in lines if line.startswith("doubt: ")]
    assert len(doubts) == 1
    assert "sub-B_ses-2_T1w.nii.gz and sub-B/ses-1/anat/sub-B_ses-1_T1w.nii.gz of s" in doubts[0]
    assert "may show different brains: similarity 0." in doubts[0]
    similarity = {
        row["label"]: row["pair_similarity"]
        for row in cohort.table["details"]
        if row["pair_similarity"] is not None
    }
    assert similarity["A"] > 0.95
    assert similarity["B"] < 0.65
    again = opened(tree, GRIDS["quick"])[1]
    assert doubts == again


@pytest.mark.usefixtures("one_core")
def test_labels_of_one_subject_are_one_subject_in_splits_and_pairs(tree):
    for subject, site in zip("ABCDEF", ["here"] * 3 + ["there"] * 3, strict=True):
        tree.add(subject, site)
    # By the recipe A and D, by the table B and E, by identical files C and F.
    rows = "A\there\tn/a\nB\there\tberta\nC\there\t\nD\tthere\t\nE\tthere\tberta\nF\tthere\t\n"
    (tree.root / "participants.tsv").write_text(f"participant_id\tsite\tperson\n{rows}")
    for name in "CF":
        path = tree.root / f"sub-{name}" / "anat" / f"sub-{name}_T1w.nii.gz"
        save_as_file_of("the same", coarse(), path)
    tree.recipe.write_text(f'{tree.recipe.read_text()}[subjects]\nanna = ["sub-A", "D", "Z"]\n')
    cohort, lines = opened(tree)
    subjects = {
        row["label"]: name
        for row, name in zip(cohort.table["details"], cohort.table["subject"], strict=True)
    }
    assert subjects == {"A": "anna", "D": "anna", "B": "berta", "E": "berta", "C": "C", "F": "C"}
    assert (cohort.table.groupby("subject")["split"].nunique() == 1).all()
    # Of C there is only one image.
    paired = cohort.table[cohort.table["paired"]]
    assert sorted(paired["subject"]) == ["anna", "anna", "berta", "berta"]
    assert any("the labels C, F have one and the same image file" in line for line in lines)
    assert any("labels without a scan: Z" in line for line in lines)


@pytest.mark.usefixtures("one_core")
def test_covariates_are_stored_with_each_scan(tree):
    for subject, site in (("A", "here"), ("B", "here"), ("C", "there")):
        tree.add(subject, site)
    tree.add("D", "there", session="m0")
    (tree.root / "participants.tsv").write_text(
        "participant_id\tsite\tage\tsex\n"
        "A\there\t30\tF\nB\there\tn/a\tM\nC\tthere\t41.5\tF\nD\tthere\t50\tn/a\n"
    )
    sessions = tree.root / "sub-D" / "sub-D_sessions.tsv"
    sessions.write_text("session_id\tage\tscore\nses-m0\t51\thigh\n")
    cohort, _ = opened(tree, recipe="simulated = true\n")
    table = cohort.covariates.set_index(cohort.table["subject"])
    assert list(table.columns) == ["age", "score", "sex", "site"]
    assert table["age"].dropna().to_dict() == {"A": 30.0, "C": 41.5, "D": 51.0}
    assert table["sex"].dropna().to_dict() == {"A": "F", "B": "M", "C": "F"}
    assert cohort.table.set_index("subject")["age"].dropna().to_dict() == {
        "A": 30.0,
        "C": 41.5,
        "D": 51.0,
    }

    # The recipe says so.
    assert cohort.kind == "simulated"
