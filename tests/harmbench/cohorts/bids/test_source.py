"""Cohorts from BIDS folders: matching, bad scans, keys, and the prepared result."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from harmbench.cohorts.bids.source import Bids
from harmbench.data.cohort import Cohort
from harmbench.data.scans import GRIDS, Grid
from harmbench.errors import UserError
from harmbench.util.progress import Silent
from helpers import BRAINS, RECIPES
from helpers.volumes import coarse, labelled

GRID = Grid("tiny", (5, 18, 22), (12.0, 9.6, 9.6))


class Log(Silent):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def log(self, text: str) -> None:
        self.lines.append(text)


def source(tree: Any) -> Bids:
    return Bids(str(tree.root), tree.recipe)


def subjects(tree: Any) -> None:
    """Two subjects here and two there: the least that is a cohort."""
    for subject, site in (("A", "here"), ("B", "here"), ("C", "there"), ("D", "there")):
        tree.add(subject, site)


@pytest.mark.usefixtures("one_core")
def test_a_tree_with_good_and_bad_scans_becomes_a_cohort(tree: Any) -> None:
    image, turned = coarse(), coarse(12)
    tree.add("A", "here", labels=labelled(image), session="m0", run=2)
    tree.add("A", "here", labels=labelled(image), session="m0", run=10, image=turned)
    tree.add("A", "here", labels=labelled(turned), session="m6", image=turned)
    tree.add("B", "here", labels=labelled(image), field=1.494)
    tree.add("C", "there", labels=labelled(image))
    other = nib.Nifti1Image(np.ones((5, 5, 5), np.uint8), np.eye(4))
    tree.add("D", "there", labels=other, field=None)
    tree.add("E", "elsewhere")
    cut = tree.add("F", "there")
    cut.write_bytes(cut.read_bytes()[:3000])
    empty = np.zeros(image.shape, np.float32)
    tree.add("G", "here", nib.Nifti1Image(empty, image.affine))
    tree.add("H", "here").with_name("sub-H_T1w.json").write_text("{")

    log = Log()
    cohort = Cohort.open(source(tree), GRID, tree.home, log)

    table = cohort.table.set_index(["subject", "session"])
    assert set(table.index) == {("A", "m0"), ("A", "m6"), ("B", "1"), ("C", "1"), ("D", "1")}
    assert set(cohort.left_out) == {
        "sub-F/anat/sub-F_T1w.nii.gz",
        "sub-G/anat/sub-G_T1w.nii.gz",
        "sub-H/anat/sub-H_T1w.nii.gz",
    }
    for path, reason in cohort.left_out.items():
        assert f"left out {path}: {reason}" in log.lines
    assert (cohort.kind, cohort.target, cohort.sources) == ("real", "here", ("there",))

    assert table.loc[("A", "m0"), "details"]["path"].endswith("ses-m0_run-2_T1w.nii.gz")
    assert table["labelled"].tolist().count(False) == 1
    assert not table.loc[("D", "1"), "labelled"]
    assert any("left unlabelled sub-D" in line and "shape" in line for line in log.lines)
    assert "shape" in table.loc[("D", "1"), "details"]["labels"]

    # Split by subject: both sessions of A on one side, and each domain on both sides.
    splits = cohort.table.groupby("subject")["split"].unique()
    assert all(len(split) == 1 for split in splits)
    for domain in ("here", "there"):
        assert len(cohort.scans(domain, "train")) >= 1
        assert len(cohort.scans(domain, "test")) >= 1
    assert not cohort.table["paired"].any()

    scan_set = cohort.scans("here")
    scans = scan_set.load(range(len(scan_set)))
    assert scans.images.shape == (3, *GRID.shape)
    assert (scans.images.amax(dim=(-2, -1)) == 1).all()
    assert not scans.images[~scans.masks].any()
    assert scans.labels is not None
    # One brain in two poses: after registration they are the same again.
    first, second = (scans.images[scans.sessions.index(name)] for name in ("m0", "m6"))
    assert np.corrcoef(first.ravel(), second.ravel())[0, 1] > 0.97


@pytest.mark.usefixtures("one_core")
def test_registrations_are_cached(tree: Any) -> None:
    subjects(tree)
    Cohort.open(source(tree), GRID, tree.home, Silent())
    # The second preparation gets the registrations with another number, and must use it.
    folder = tree.home / "registrations"
    stored = list(folder.resolve().glob("*.json"))
    folder.unlink()
    folder.mkdir()
    for path in stored:
        (folder / path.name).write_text(
            json.dumps({**json.loads(path.read_text()), "correlation": 0.41})
        )
    shutil.rmtree(tree.home / "cohorts")
    log = Log()
    cohort = Cohort.open(source(tree), GRID, tree.home, log)
    assert all(row["correlation"] == 0.41 for row in cohort.table["details"])
    assert sum("correlation 0.41" in line for line in log.lines) == 4


@pytest.mark.usefixtures("one_core")
def test_subjects_in_two_domains_are_paired_and_on_one_side(tree: Any) -> None:
    for subject in "AB":
        tree.add(subject, "here", session="1")
        tree.add(subject, "here", session="2", field=3)
    text = tree.recipe.read_text().replace('{ site = "there" }', '{ site = "here" }')
    text = text.replace("[labels]", "sidecar = { MagneticFieldStrength = 3 }\n[labels]")
    tree.recipe.write_text(text)
    cohort = Cohort.open(source(tree), GRID, tree.home, Silent())
    assert cohort.table["paired"].all()
    assert cohort.pairs("there", "test") is not None
    assert set(cohort.scans("here", "test").subjects) == set(cohort.scans("there", "test").subjects)


def test_the_key_follows_content_and_not_dates(tree: Any) -> None:
    subjects(tree)
    image, labels = coarse(), labelled(coarse())
    path = tree.add("C", "there", image, labels=labels)
    key = source(tree).key(GRID, tree.home)
    assert source(tree).key(GRIDS["quick"], tree.home) != key
    os.utime(path, ns=(1, 1))
    assert source(tree).key(GRID, tree.home) == key

    def changed(path: Path) -> str:
        """The key with one byte of a file changed, before it is changed back."""
        content = path.read_bytes()
        path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        result = source(tree).key(GRID, tree.home)
        path.write_bytes(content)
        return result

    label = tree.root / "derivatives" / "tissue" / "sub-C" / "anat" / "sub-C_dseg.nii.gz"
    keys = {key, changed(path), changed(label)}
    for other, old, new in (
        (path.with_name("sub-C_T1w.json"), "1.5", "1.6"),
        (tree.root / "participants.tsv", "site\n", "site\n\n"),
        (tree.recipe, "test = 0.5", "test = 0.4"),
    ):
        text = other.read_text()
        assert old in text
        other.write_text(text.replace(old, new))
        keys.add(source(tree).key(GRID, tree.home))
        other.write_text(text)
    assert len(keys) == 6
    assert source(tree).key(GRID, tree.home) == key


def test_an_unchanged_file_is_hashed_once(tree: Any) -> None:
    subjects(tree)
    path = tree.root / "sub-C" / "anat" / "sub-C_T1w.nii.gz"
    os.utime(path, ns=(10**18, 10**18))
    key = source(tree).key(GRID, tree.home)
    # Same size, and the date put back: that the change goes unseen shows what is remembered.
    content = path.read_bytes()
    path.write_bytes(content[:-1] + b"?")
    os.utime(path, ns=(10**18, 10**18))
    assert source(tree).key(GRID, tree.home) == key
    os.utime(path, ns=(10**18 + 1, 10**18 + 1))
    assert source(tree).key(GRID, tree.home) != key


@pytest.mark.usefixtures("one_core")
def test_a_scan_keeps_its_key_when_another_comes(tree: Any) -> None:
    subjects(tree)
    before = Cohort.open(source(tree), GRID, tree.home, Silent())
    tree.add("E", "there")
    after = Cohort.open(source(tree), GRID, tree.home, Silent())
    assert before.key != after.key
    assert before.scans("here").digest == after.scans("here").digest


@pytest.mark.usefixtures("one_core")
def test_a_domain_left_with_one_subject_says_why(tree: Any) -> None:
    subjects(tree)
    path = tree.root / "sub-D" / "anat" / "sub-D_T1w.nii.gz"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(UserError, match=r"domain 'there' is left with 1 .*sub-D_T1w\.nii\.gz"):
        Cohort.open(source(tree), GRID, tree.home, Silent())
    assert not [path for path in (tree.home / "cohorts").iterdir() if path.is_dir()]


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ('"there"', '"threr"', "the column of participants.tsv site is never threr, there are: "),
        ("site = ", "sit = ", "'sit'; did you mean 'site'?"),
        ("MagneticFieldStrength", "FieldStrength", "did you mean 'MagneticFieldStrength'?"),
        ("[1.5, 1.494]", "7", "domain 'here' of recipe 'tiny' matches none of the 4 scans"),
        ('site = "there"', 'site = ["there", "here"]', "two domains of recipe 'tiny'"),
        ('"tissue"', '"tisue"', "'tisue'; did you mean 'tissue'?"),
    ],
)
def test_a_recipe_that_does_not_fit_gets_one_line(tree: Any, old: str, new: str, line: str) -> None:
    subjects(tree)
    tree.recipe.write_text(tree.recipe.read_text().replace(old, new))
    with pytest.raises(UserError) as caught:
        source(tree).key(GRID, tree.home)
    assert line in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_recipe_without_matches_lists_the_available_values(tree: Any) -> None:
    tree.add("A", "north")
    with pytest.raises(UserError, match="matches none of the 1 scans; .*there are: north"):
        source(tree).key(GRID, tree.home)


def test_a_domain_with_one_subject_is_an_error(tree: Any) -> None:
    subjects(tree)
    shutil.rmtree(tree.root / "sub-D")
    with pytest.raises(UserError, match="'there' of recipe 'tiny' has only one subject, 'C'"):
        source(tree).key(GRID, tree.home)


def test_errors_name_missing_files(tree: Any, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--cohort bids:PATH"):
        Bids(None, tree.recipe)
    with pytest.raises(UserError, match="--recipe FILE"):
        Bids(str(tree.root))
    with pytest.raises(UserError, match="there is no folder .*nowhere"):
        Bids(str(tmp_path / "nowhere"), tree.recipe)
    with pytest.raises(UserError, match="is not a BIDS folder"):
        source(tree).key(GRID, tree.home)
    (tree.root / "sub-A" / "anat").mkdir(parents=True)
    with pytest.raises(UserError, match="has no T1w scan"):
        source(tree).key(GRID, tree.home)


@pytest.mark.slow
@pytest.mark.brains
@pytest.mark.skipif(not BRAINS.is_dir(), reason="the real scans of ../shared/brains are absent")
@pytest.mark.usefixtures("one_core")
def test_real_brains_of_two_scanners_align_with_the_template(tree: Any) -> None:
    text = (RECIPES / "brains.toml").read_text()
    third, labels = text.index("[domains.ds002748]"), text.index("[labels]")
    tree.recipe.write_text(text[:third] + text[labels:])
    for name in ("participants.tsv", "derivatives"):
        target = tree.root / name
        shutil.rmtree(target, ignore_errors=True)
        target.symlink_to(BRAINS / name)
    # Two subjects a domain: the fewest that are a cohort.
    for subject in ("OAS10040", "OAS10080", "IXI132", "IXI174"):
        (tree.root / f"sub-{subject}").symlink_to(BRAINS / f"sub-{subject}")
    cohort = Cohort.open(source(tree), GRIDS["quick"], tree.home, Silent())
    assert not cohort.left_out
    assert all(row["correlation"] > 0.43 for row in cohort.table["details"])
    assert not any(row["doubtful"] for row in cohort.table["details"])
    for domain in ("oasis1", "ixihh"):
        scans = cohort.scans(domain).load([0, 1])
        assert scans.labels is not None
        white, grey = (scans.images[scans.labels == tissue].mean() for tissue in (3, 2))
        assert white > grey + 0.1
    first, second = (cohort.scans(name).load([0]).masks for name in ("oasis1", "ixihh"))
    assert 2 * (first & second).sum() / (first.sum() + second.sum()) > 0.93


def test_sidecars_are_inherited_key_by_key_and_the_nearest_wins(tree: Any) -> None:
    subjects(tree)
    for subject in "ABCD":
        (tree.root / f"sub-{subject}" / "anat" / f"sub-{subject}_T1w.json").unlink()
    fields = {"MagneticFieldStrength": 3, "EchoTime": 0.003, "Manufacturer": "Far"}
    (tree.root / "T1w.json").write_text(json.dumps(fields))
    (tree.root / "acq-fast_T1w.json").write_text('{"Manufacturer": "of another sequence"}')
    (tree.root / "T2w.json").write_text('{"Manufacturer": "of another contrast"}')
    for subject in "AB":
        near = tree.root / f"sub-{subject}" / f"sub-{subject}_T1w.json"
        near.write_text(json.dumps({"MagneticFieldStrength": 1.5, "Manufacturer": "Near"}))
    own = tree.root / "sub-A" / "anat" / "sub-A_T1w.json"
    own.write_text('{"EchoTime": 0.004}')
    result = {
        scan.subject: scan for scans in source(tree).find().domains.values() for scan in scans
    }
    assert result["A"].sidecar == {
        "MagneticFieldStrength": 1.5,
        "EchoTime": 0.004,
        "Manufacturer": "Near",
    }
    assert result["B"].sidecar == {**fields, "MagneticFieldStrength": 1.5, "Manufacturer": "Near"}
    assert result["C"].sidecar == result["D"].sidecar == fields
    assert [path.name for path in result["A"].inherited] == ["T1w.json", "sub-A_T1w.json"]

    # Their content is part of the cohort's key.
    key = source(tree).key(GRID, tree.home)
    (tree.root / "T1w.json").write_text(json.dumps({**fields, "EchoTime": 0.002}))
    assert source(tree).key(GRID, tree.home) != key

    (tree.root / "sub-B" / "sub-B_T1w.json").write_text("{")
    tree.add("E", "here", field=1.5)
    (reason,) = source(tree).find().left_out.values()
    assert "its sidecar sub-B_T1w.json cannot be read" in reason
