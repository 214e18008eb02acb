"""Cohorts that a CSV file lists, with masks and labels."""

from __future__ import annotations

import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from harmbench.cohorts.bids.layout import read_layout
from harmbench.cohorts.csv_list import Listed
from harmbench.data.cohort import Cohort
from harmbench.data.folds import folds_of
from harmbench.data.prepare_options import PrepareOptions
from harmbench.data.scans import Grid
from harmbench.errors import UserError
from harmbench.util.progress import Silent
from helpers.registrations import reuse_registration, share_registrations
from helpers.volumes import coarse, labelled, save_as_file_of

GRID = Grid("tiny", (5, 18, 22), (12.0, 9.6, 9.6))


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory, registrations: Path) -> Path:
    """A brain, its labels, the same brain in a bright head, and its mask; read only."""
    folder = tmp_path_factory.mktemp("files")
    home = tmp_path_factory.mktemp("registered") / "home"
    share_registrations(registrations, home)
    brain = coarse()
    data = np.asarray(brain.dataobj)
    around = np.random.default_rng(0).uniform(0.5, 0.9, data.shape)
    head = np.where(data > 0, data, around)
    for name in ("brain", *(f"brain-{subject}" for subject in "ABCDabcd")):
        save_as_file_of(name, brain, folder / f"{name}.nii.gz")
        reuse_registration(home, folder / f"{name}.nii.gz")
    nib.save(labelled(brain), folder / "labels.nii.gz")
    for name in ("head", "head-A", "head-B"):
        image = nib.Nifti1Image(head.astype(np.float32), brain.affine)
        save_as_file_of(name, image, folder / f"{name}.nii.gz")
    mask = nib.Nifti1Image((data > 0).astype(np.uint8), brain.affine)
    nib.save(mask, folder / "mask.nii.gz")
    for name in ("head-A", "head-B"):
        reuse_registration(home, folder / f"{name}.nii.gz", folder / "mask.nii.gz")
    return folder


@pytest.fixture
def folder(files: Path, tmp_path: Path, registrations: Path) -> Path:
    """The files in the test's own folder, next to a home that has their registrations."""
    shutil.copytree(files, tmp_path, dirs_exist_ok=True)
    share_registrations(registrations, tmp_path / "home")
    return tmp_path


def write(folder: Path, *rows: str, columns: str = "path,subject,session,domain") -> str:
    path = folder / "scans.csv"
    path.write_text("\n".join((columns, *rows)) + "\n")
    return str(path)


@pytest.mark.usefixtures("one_core")
def test_a_listed_cohort_is_prepared_with_masks_and_labels(folder: Path) -> None:
    named = folder / "Jörg; größe 100 % #1 & {more}"
    named.mkdir()
    (folder / "brain-A.nii.gz").rename(named / "50% #2.nii.gz")
    (folder / "mask.nii.gz").rename(named / "mask & more.nii.gz")
    rows = [
        f"{named.name}/50% #2.nii.gz,A,1,here,,labels.nii.gz",
        "brain-B.nii.gz,B,1,here,,labels.nii.gz",
        f"head-A.nii.gz,A,1,target,{named.name}/mask & more.nii.gz,labels.nii.gz",
        f"head-B.nii.gz,B,1,target,{named.name}/mask & more.nii.gz,labels.nii.gz",
        "head.nii.gz,C,1,target,,",
    ]
    path = write(folder, *rows, columns="path,subject,session,domain,mask,labels")
    source = Listed(path, prepare_options=PrepareOptions("none"))
    assert (source.target, source.sources, source.title) == ("target", ("here",), "csv:scans")
    cohort = Cohort.open(source, GRID, folder / "home", Silent())
    assert set(cohort.left_out) == {"head.nii.gz"}
    assert "head.nii.gz is a head (" in cohort.left_out["head.nii.gz"]
    assert cohort.table["labelled"].all()
    assert cohort.table["paired"].all()
    # Cut out by its mask, the brain in a head is the brain alone.
    here, target = (cohort.scans(name).load([0]).images for name in ("here", "target"))
    np.testing.assert_array_equal(here, target)
    assert cohort.scans("here").scans[0].key != cohort.scans("target").scans[0].key


@pytest.mark.parametrize(
    ("row", "line"),
    [
        ("none.nii.gz,C,1,here", "line 4: there is no file"),
        (",C,1,here", "line 4 has no path"),
        ("brain.nii.gz,C,1,a/b", "letters, digits, - and _ only"),
        ("brain.nii.gz,C,1", "line 4: 3 fields, but the first line has 4"),
        ("brain.nii.gz,A,1,here", "has the subject, session and domain of line 2"),
        ("brain.nii.gz,C,1,there", "domain 'there' of .*scans.csv has only one subject, 'C'"),
    ],
)
def test_a_mistake_gets_its_line(folder: Path, row: str, line: str) -> None:
    path = write(folder, "brain.nii.gz,A,1,here", "brain.nii.gz,B,1,here", row)
    with pytest.raises(UserError, match=line):
        _ = Listed(path).scans


def test_a_single_domain_and_a_recipe_are_refused(folder: Path) -> None:
    path = write(folder, "brain.nii.gz,A,1,here")
    with pytest.raises(UserError, match="has one domain, 'here'; a source is needed"):
        Listed(path)
    with pytest.raises(UserError, match="leave out --recipe"):
        Listed(path, Path("x.toml"))


@pytest.mark.usefixtures("one_core")
def test_splits_folds_and_ages_of_the_file_are_respected(folder: Path) -> None:
    splits = {"A": "test", "B": "train", "C": "validation", "D": "test"}
    ages = {"A": "30", "B": "41.5", "C": "", "D": "n/a"}
    rows = [
        f"brain-{name(subject)}.nii.gz,{subject},1,{domain},{split},{1 + (subject in 'BC')},"
        f"{ages[subject]}"
        for domain, name in (("target", str.lower), ("here", str.upper))
        for subject, split in splits.items()
    ]
    path = write(folder, *rows, columns="path,subject,session,domain,split,fold,age")
    cohort = Cohort.open(Listed(path), GRID, folder / "home", Silent())
    assert dict(zip(cohort.table["subject"], cohort.table["split"], strict=True)) == splits
    assert folds_of(cohort, 2) == {"A": 1, "B": 2, "C": 2, "D": 1}
    known = cohort.table[cohort.table["age"].notna()]
    assert dict(zip(known["subject"], known["age"], strict=True)) == {"A": 30.0, "B": 41.5}
    with pytest.raises(UserError, match="assigned to the folds 1, 2, which is not 1 to 3"):
        folds_of(cohort, 3)


def test_other_columns_are_covariates_and_slips_are_reported(folder: Path) -> None:
    rows = [
        f"brain-{name}.nii.gz,sub-{name},1,{domain},test,{age},F,1"
        for name, domain, age in (("A", "target", 30), ("B", "target", "n/a"), ("C", "here", 2))
    ]
    columns = "path,subject,session,domain,sptit,age,sex,group"
    source = Listed(write(folder, *rows, "brain-D.nii.gz,d,1,here,,,,", columns=columns))
    scans = list(source.scans)
    assert [scan.subject for scan in scans] == ["A", "B", "C", "d"]
    assert scans[0].covariates == {"sptit": "test", "age": "30", "sex": "F", "group": "1"}
    assert scans[3].covariates == {}
    assert source.scans.notes == ["the column 'sptit' is a covariate; did you mean 'split'?"]


def test_a_person_of_several_labels_is_one_subject(folder: Path) -> None:
    rows = [
        "brain-A.nii.gz,A,1,target,anna",
        "brain-B.nii.gz,B,1,target,",
        "brain-C.nii.gz,C,1,here,anna",
        "brain-D.nii.gz,b,1,here,n/a",
    ]
    columns = "path,subject,session,domain,person"
    source = Listed(write(folder, *rows, columns=columns))
    assert [scan.subject for scan in source.scans] == ["anna", "B", "anna", "b"]
    assert source.scans.notes == ["labels that are alike count as different subjects: B and b"]


@pytest.mark.parametrize(
    ("values", "simulated"), [("yn", True), ("nn", False), ("11", True), ("  ", False)]
)
def test_simulated_scans_are_said_to_be(folder: Path, values: str, simulated: bool) -> None:
    words = {"y": "Yes", "n": "no", "1": "1", " ": ""}
    rows = [
        f"brain-{name}.nii.gz,{name},1,{domain},{words[value]}"
        for name, domain, value in zip("AB", ("target", "here"), values, strict=True)
    ]
    path = write(folder, *rows, columns="path,subject,session,domain,simulated")
    assert Listed(path).recipe.simulated is simulated


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("path;subject;session;domain\nbrain-A.nii.gz;A;1;target\nbrain-B.nii.gz;B;1;here\n", ""),
        ("path\tsubject\tsession\tdomain\nbrain-A.nii.gz\tA\t1\ta\nbrain-B.nii.gz\tB\t1\tb\n", ""),
        ("path subject session domain\nbrain-A.nii.gz A 1 target\n", "separated by blanks"),
        ("path,subject,session,domain,simulated\nbrain-A.nii.gz,A,1,a,maybe\n", "yes or no"),
        ("path,subject,session,domain\nlink.nii.gz,A,1,a\n", "line 2: .*link.nii.gz is a broken"),
        ("path,subject,session,domain\npointer.nii.gz,A,1,a\n", "`datalad get .*pointer.nii.gz`"),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-8-sig"])
def test_any_common_table_is_read_or_explained(
    folder: Path, content: str, message: str, encoding: str
) -> None:
    (folder / "link.nii.gz").symlink_to("nowhere")
    (folder / "pointer.nii.gz").write_text("/annex/objects/MD5E-s3--0.nii.gz\n")
    path = folder / "scans.csv"
    path.write_text(content, encoding=encoding)
    if message:
        with pytest.raises(UserError, match=message):
            Listed(str(path))
    else:
        assert [scan.subject for scan in Listed(str(path))._domains.popitem()[1]] == ["B"]


@pytest.mark.parametrize(
    ("column", "values", "message"),
    [
        ("split", ("test", "train"), "subject 'A' has the splits 'test' and 'train'"),
        ("split", ("dev", "dev"), "subject 'A' has the split 'dev'; expected: train, validation"),
        ("split", ("", ""), "subject 'A' has the split ''; expected: train"),
        ("fold", ("1", "2"), "subject 'A' has the folds '1' and '2'"),
        ("fold", ("0", "0"), "subject 'A' has the fold '0'; expected: a whole number from 1"),
    ],
)
def test_a_wrong_split_names_the_subject(
    folder: Path, column: str, values: tuple[str, str], message: str
) -> None:
    first, second = values
    rows = (f"brain.nii.gz,A,1,here,{first}", f"brain.nii.gz,A,1,there,{second}")
    with pytest.raises(UserError, match=message):
        Listed(write(folder, *rows, columns=f"path,subject,session,domain,{column}"))


@pytest.mark.parametrize(
    ("name", "is_mask"),
    [
        ("sub-A_desc-brain_mask.nii.gz", True),
        ("sub-A_T1w_desc-synthstrip_mask.nii.gz", True),
        ("sub-A_T1w_bet_mask.nii.gz", True),
        ("sub-A_space-T1w_desc-brain_mask.nii", True),
        ("sub-A_space-MNI152NLin2009cAsym_desc-brain_mask.nii.gz", False),
        ("sub-A_label-lesion_mask.nii.gz", False),
        ("sub-A_run-2_desc-brain_mask.nii.gz", False),
        ("sub-B_desc-brain_mask.nii.gz", False),
    ],
)
def test_masks_are_found_among_the_derivatives(tmp_path: Path, name: str, is_mask: bool) -> None:
    for folder in ("sub-A/anat", "derivatives/tool/sub-A/anat"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "sub-A/anat/sub-A_T1w.nii.gz").touch()
    mask = tmp_path / "derivatives/tool/sub-A/anat" / name
    mask.touch()
    (scan,) = read_layout(tmp_path).scans
    assert scan.mask == (mask if is_mask else None)
