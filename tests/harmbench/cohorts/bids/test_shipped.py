"""The shipped recipes on the real layouts of their studies, with empty files for images."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from pathlib import Path

import pytest

from harmbench.cohorts.bids.draft import draft_travelling, labelled_scanners
from harmbench.cohorts.bids.label_pattern import scanner_labels_of
from harmbench.cohorts.bids.layout import read_layout
from harmbench.cohorts.bids.pairs import pair_up
from harmbench.cohorts.bids.shipped import (
    OnHarmony,
    Simon,
    SpinsTravellers,
    SrpbsTravellers,
    TravelingHumanPhantom,
)
from harmbench.cohorts.bids.source import Bids
from harmbench.data.cohort import Cohort
from harmbench.data.scans import Grid
from harmbench.data.spaces import SPACE
from harmbench.errors import UserError
from harmbench.util.progress import Silent
from helpers import ROOT

LAYOUTS = ROOT.parent / "shared" / "datasets"
needs_layouts = pytest.mark.skipif(not LAYOUTS.is_dir(), reason="no ../shared/datasets")


def tree_of(study: str, folder: Path) -> Path:
    """Copy tables and sidecars of a study, and make an empty file for each image."""
    root = folder / study
    shutil.copytree(LAYOUTS / study, root, copy_function=shutil.copyfile)
    os.chmod(root, 0o755)  # noqa: PTH101
    for path in [*root.rglob("*")]:
        if path.is_dir():
            path.chmod(0o755)
    for line in (LAYOUTS / study / "T1w_files.txt").read_text().split():
        path = root / line
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return root


def numbers(scans):
    domains = scans.domains
    return {
        "scans": sum(map(len, domains.values())),
        "subjects": len({scan.subject for group in domains.values() for scan in group}),
        "scanners": len(domains),
    }


def repeated(scans):
    """Return the subjects with more than one visit or run on a scanner."""
    counts = Counter(
        (domain, scan.subject) for domain, group in scans.domains.items() for scan in group
    )
    return {subject for (_, subject), count in counts.items() if count > 1}


@needs_layouts
def test_on_harmony_as_the_study_describes_it(tmp_path) -> None:
    source = OnHarmony(str(tree_of("ds004712", tmp_path)))
    scans = source.find()
    assert numbers(scans) == {"scans": 165, "subjects": 20, "scanners": 8}
    assert not scans.unassigned
    assert not scans.left_out
    assert len(repeated(scans)) == 9
    visits = sorted(scan.visit for scan in scans.domains["oxf1pri"] if scan.visit != "001")
    assert visits == sorted(["002", "003", "004", "005", "006"] * 2)


@needs_layouts
@pytest.mark.parametrize(
    ("study", "source"),
    [
        ("ds004712", OnHarmony),
        ("ds003011", SpinsTravellers),
        ("ds000206", TravelingHumanPhantom),
    ],
)
def test_a_draft_from_the_tree_alone_finds_the_same_domains(study, source, tmp_path) -> None:
    root = tree_of(study, tmp_path)
    scans = read_layout(root).scans
    labels = scanner_labels_of(scans)
    assert labels is not None
    draft = tmp_path / "draft.toml"
    draft.write_text(draft_travelling(root, labelled_scanners(scans, labels), labels))
    drafted, shipped = Bids(str(root), draft).find(), source(str(root)).find()
    of_domain = {
        name: {(scan.path, scan.visit) for scan in scans} for name, scans in drafted.domains.items()
    }
    # The draft takes the object for a subject, which only a human can know.
    for name, group in shipped.domains.items():
        assert {(scan.path, scan.visit) for scan in group} <= of_domain[name]
    assert len(shipped.domains) == len(of_domain)


@needs_layouts
def test_spins_keeps_scanners_apart_before_and_after_their_upgrade(tmp_path) -> None:
    scans = SpinsTravellers(str(tree_of("ds003011", tmp_path))).find()
    assert numbers(scans) == {"scans": 48, "subjects": 4, "scanners": 6}
    assert not scans.unassigned
    sessions = {scan.session for scan in scans.domains["mrc"] if scan.subject == "01"}
    assert {"Y1MRC-run1", "Y1MRC-run2", "Y1MRC-run3"} <= sessions


@needs_layouts
def test_the_traveling_human_phantom_has_an_object_that_is_no_subject(tmp_path) -> None:
    scans = TravelingHumanPhantom(str(tree_of("ds000206", tmp_path))).find()
    assert numbers(scans) == {"scans": 65, "subjects": 5, "scanners": 8}
    assert sorted(scans.unassigned) == [
        "sub-THPBALL/ses-THPBALLCCF1/anat/sub-THPBALL_ses-THPBALLCCF1_run-01_T1w.nii.gz",
        "sub-THPBALL/ses-THPBALLIOWA1/anat/sub-THPBALL_ses-THPBALLIOWA1_run-01_T1w.nii.gz",
    ]
    assert {*scans.unassigned.values()} == {"scanner is unknown"}


@needs_layouts
def test_every_scan_of_a_subject_is_registered_to_the_first_visit_on_the_target(tmp_path) -> None:
    source = OnHarmony(str(tree_of("ds004712", tmp_path)))
    scans = source.find()
    pairs = pair_up(scans.domains, source.recipe.pairs)
    targets = scans.domains["oxf1pri"]
    unpaired = {
        scan.path for group in scans.domains.values() for scan in group if scan.path not in pairs
    }
    assert unpaired == {scan.path for scan in targets if scan.visit == "001"}
    assert {pair.partner.path for pair in pairs.values()} == unpaired


@needs_layouts
def test_a_subject_that_was_not_on_the_target_is_registered_to_another_scanner(tmp_path) -> None:
    source = SpinsTravellers(str(tree_of("ds003011", tmp_path)))
    pairs = pair_up(source.find().domains, source.recipe.pairs)
    partners = {pair.partner.session for pair in pairs.values() if pair.partner.subject == "02"}
    assert "02" not in {scan.subject for scan in source.find().domains["mrc"]}
    assert partners == {"Y3CMH"}


def touched(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return root


def test_each_scanner_that_srpbs_names_is_a_domain(tmp_path) -> None:
    root = touched(
        tmp_path,
        *(
            f"sub-0{subject}/ses-site{site}d1/anat/sub-0{subject}_ses-site{site}d1_T1w.nii.gz"
            for subject in (1, 2)
            for site in ("ATT", "ATV", "YC1")
        ),
        "sub-01/ses-siteATVd2/anat/sub-01_ses-siteATVd2_T1w.nii.gz",
    )
    source = SrpbsTravellers(str(root))
    assert (source.target, source.sources) == ("atv", ("att", "yc1"))
    scans = source.find()
    assert [scan.visit for scan in scans.domains["atv"]] == ["1", "2", "1"]


@pytest.mark.usefixtures("one_core")
def test_the_single_traveller_of_simon_is_for_testing_alone(tree) -> None:
    for number, model in enumerate(("Achieva", "Prisma", "Prisma"), 1):
        path = tree.add("032633", "", session=f"{number:03}", run=1, field=None)
        path.with_name(path.name.replace(".nii.gz", ".json")).write_text(
            f'{{"Manufacturer": "M", "ManufacturersModelName": "{model}", '
            '"MagneticFieldStrength": 3}'
        )
    source = Simon(str(tree.root))
    assert (source.target, source.sources) == ("m-prisma-3", ("m-achieva-3",))
    assert numbers(source.find()) == {"scans": 3, "subjects": 1, "scanners": 2}
    grid = Grid("tiny", (5, 18, 22), (12.0, 9.6, 9.6))
    cohort = Cohort.open(source, grid, tree.home, Silent())
    assert {*cohort.table["split"]} == {"test"}
    sources, truth = cohort.pairs("m-achieva-3", "test")
    assert (sources.scans[0].session, truth.scans[0].session) == ("001", "002")
    assert {details[SPACE] for details in cohort.table["details"]} == {"m-prisma-3/002"}
    # No scan is left to fit a method on, or to learn a normalisation from.
    assert not len(cohort.scans(cohort.target, "train"))
    with pytest.raises(UserError, match=r"^the normalisation 'nyul' .* 'm-prisma-3' of 'simon' h"):
        Cohort.open(Simon(str(tree.root), normalization="nyul"), grid, tree.home, Silent())
