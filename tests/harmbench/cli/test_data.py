"""`harmbench data`: drafting, preparing, showing, and a line for every mistake."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from harmbench.cli.data import _show
from harmbench.cohorts.bids.layout import read_layout
from harmbench.cohorts.bids.matching import match
from harmbench.cohorts.bids.recipe import load_recipe
from helpers import TINY_COHORT, words


def scan(root: Path, subject: str, session: str, **sidecar: object) -> None:
    """A scan of which a draft looks at no more than the name and the sidecar."""
    stem = f"sub-{subject}_ses-{session}_T1w"
    path = root / f"sub-{subject}" / f"ses-{session}" / "anat" / f"{stem}.nii.gz"
    path.parent.mkdir(parents=True)
    path.touch()
    if sidecar:
        path.with_name(f"{stem}.json").write_text(json.dumps(sidecar))


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """Two scanners of one model, one of another, one used once, and a scan that tells nothing."""
    root = tmp_path / "My study"
    trio = {"Manufacturer": "Siemens", "ManufacturersModelName": "TrioTim"}
    for i in range(4):
        scan(root, f"A{i}", "d0001", **trio, MagneticFieldStrength=3, DeviceSerialNumber="35177")
    for i in range(3):
        strength = 2.89 if i else 3
        scan(root, f"A{i}", "d0500", **trio, MagneticFieldStrength=strength, DeviceSerialNumber=9)
    for i in range(2):
        scan(root, f"B{i}", "d0001", ManufacturersModelName='Model "X"', MagneticFieldStrength=1.5)
    scan(root, "C", "d0001", ManufacturersModelName="Once", MagneticFieldStrength=1.5)
    scan(root, "D", "d0001")
    scan(root, "E", "d0001", **trio, MagneticFieldStrength=3)
    derivative = root / "derivatives" / "seg"
    labels = derivative / "sub-A0" / "ses-d0001" / "anat" / "sub-A0_ses-d0001_dseg.nii.gz"
    labels.parent.mkdir(parents=True)
    labels.touch()
    (derivative / "dseg.tsv").write_text("index\tname\n1\tCSF\n4\tventricles\n2\tGM\n3\tWM\n")
    return root


def test_a_draft_is_a_recipe_that_finds_its_scanners(inside, study, tmp_path) -> None:
    code, out, _ = inside("data", "recipe", study, "-o", "study.toml")
    assert code == 0
    line = next(line for line in out.splitlines() if "35177" in line)
    assert line.split()[-3:] == ["4", "4", "4"]
    recipe = load_recipe(tmp_path / "study.toml")
    assert recipe.name == "my-study"
    assert recipe.target == "triotim-35177"
    assert recipe.sources == ("triotim-9", "model-x")
    assert recipe.labels.csf == (1, 4)
    assert recipe.pairs.maximum_gap_days == 365
    result = match(recipe, read_layout(study)).domains
    assert {name: len(scans) for name, scans in result.items()} == {
        "triotim-35177": 4,
        "triotim-9": 3,
        "model-x": 2,
    }
    text = (tmp_path / "study.toml").read_text()
    for reason in ("one subject, and a split needs two", "no field that identifies the scanner"):
        assert reason in text
    code, printed, table = inside("data", "recipe", study)
    assert (code, printed) == (0, text)
    assert "35177" in table


def test_a_cohort_is_prepared_and_shown(inside, tmp_path) -> None:
    code, out, _ = inside("data", "prepare", *TINY_COHORT)
    assert code == 0
    assert "cohort tiny, quick grid, minmax: 16 scans of 10 subjects, 0 left out" in out
    code, out, _ = inside("data", "show", *TINY_COHORT, "-o", "contact.png")
    assert code == 0
    rows = {line[1:40].split("  ")[0]: line.split() for line in out.splitlines() if line.strip()}
    assert rows["subjects"][-3:] == ["6", "6", "4"]
    assert rows["slices"][-3:] == ["60", "60", "40"]
    assert "[SIMULATED, not real scans]" in out
    assert (tmp_path / "contact.png").read_bytes()[1:4] == b"PNG"


def test_what_a_study_lacks_is_shown(own_cohort, capsys) -> None:
    cohort = own_cohort()
    rows = cohort.table["details"]
    for number, details in enumerate(rows):
        details |= {"path": f"{number}.nii", "choice": "before x.nii (rec-norm)"}
    rows[0]["series"] = "acq-fast"
    cohort.table["covariates"] = [
        {"age": 30.0, "sex": "F"} if number else {} for number in range(len(rows))
    ]
    cohort.facts = {
        "doubts": ["a and b may show different brains"],
        "notes": ["no row of participants.tsv fits sub-x"],
        "unassigned": {f"{number}.nii": "site is 'east'" for number in range(7)},
    }
    _show(cohort)
    lines = capsys.readouterr().out.splitlines()
    number = len(rows)
    missing = f"1 of {number} scans lack it"
    for line in (
        f"covariates: age (a number; {missing}), sex (text such as F; {missing})",
        "chosen 0.nii before x.nii (rec-norm)",
        f"and {number - 10} more sessions with several T1w files",
        "doubt: a and b may show different brains",
        "note: no row of participants.tsv fits sub-x",
        "of no domain: 0.nii, 1.nii, 2.nii, 3.nii, 4.nii and 2 more (site is 'east')",
    ):
        assert line in lines
    series = next(line for line in lines if line.split()[:1] == ["series"])
    assert "plain T1w, acq-fast" in series


@pytest.mark.usefixtures("one_core")
@pytest.mark.filterwarnings("default")  # MLflow warns about its own code
def test_a_study_normalised_otherwise_is_another_cohort(inside, tree) -> None:
    for subject, site in (("A", "here"), ("B", "here"), ("C", "there"), ("D", "there")):
        tree.add(subject, site)
    cohort = ("--cohort", f"bids:{tree.root}", "--recipe", tree.recipe)
    _, done, err = inside(*words("run -m identity -t site-there --normalize minmax"), *cohort)
    assert done.startswith("1 cell: 1 done; "), err
    _, board, err = inside(*words("leaderboard --cohort bids:tiny+minmax --metric wasserstein"))
    assert "identity" in board, err


def test_folds_are_shown_and_exported_and_given_back_are_the_same_run(inside, tmp_path) -> None:
    code, out, err = inside("data", "split", *TINY_COHORT)
    assert code == 0, err
    rows = {words[0]: words[1:] for line in out.splitlines() if (words := line.split())}
    assert rows["goal"] == ["3", "1", "2", "6"]
    code, out, err = inside("data", "split", *TINY_COHORT, "--folds", "3", "-o", "folds.csv")
    assert code == 0, err
    rows = {words[0]: words[1:] for line in out.splitlines() if (words := line.split())}
    assert rows["goal"] == rows["domain1"] == ["2", "2", "2", "6"]
    assert rows["any"][-1] == "10"
    exported = pd.read_csv(tmp_path / "folds.csv")
    assert list(exported.columns) == ["subject", "session", "domain", "split", "fold"]
    assert len(exported) == 16
    assert (exported.groupby("subject")["fold"].nunique() == 1).all()
    asked = ("run", "-m", "histogram", "-t", "sim-exp", *TINY_COHORT, "--folds", "3")
    code, out, err = inside(*asked)
    assert code == 0, err
    assert out.startswith("3 cells: 3 done; 3 fits made")
    code, out, err = inside(*asked, "--split-file", "folds.csv")
    assert code == 0, err
    assert out.startswith("3 cells: 3 cached; 0 fits made")
    # Other folds, of which the first tests and trains the same subjects.
    exported["fold"] = exported["fold"].map({1: 1, 2: 2, 3: 2})
    exported.to_csv(tmp_path / "folds.csv", index=False)
    code, out, err = inside(*asked[:-1], "2", "--split-file", "folds.csv")
    assert code == 0, err
    assert out.startswith("2 cells: 2 done; 1 fit made")


def dicom(folder: Path) -> Path:
    (folder / "series").mkdir()
    (folder / "series" / "IM0001").write_bytes(b"\0" * 128 + b"DICM" + b"\0" * 64)
    return folder / "series"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("recipe", "nowhere"), "there is no folder nowhere"),
        (("recipe", "series"), "series contains DICOM (IM0001); convert it to NIfTI"),
        (("prepare", "--cohort", "./series"), "dcm2niix -b y -z y -o OUT FOLDER"),
        (("prepare", "--cohort", "oasis3:series"), "dcm2niix"),
        (("prepare", "--cohort", "./one.nii.gz"), "is a single file; list scans in a FILE.csv"),
        (("prepare", "--cohort", "bids:study"), "`harmbench data recipe study` drafts one"),
        (("prepare", "--cohort", "./study"), "say what kind of study the folder ./study is"),
        (("prepare", "--cohort", "oasis3"), "--cohort oasis3:PATH"),
        (("prepare", "--cohort", "none.csv"), "there is no file none.csv"),
        (("prepare", "--cohort", "a.csv"), "no column in a.csv 'session'; did you mean"),
        (("prepare", "--normalize", "nyull"), "'nyull'; did you mean 'nyul'?"),
        (
            ("prepare", *TINY_COHORT, "--normalize", "nyul"),
            "of the cohort 'tiny' 'nyul'; there are",
        ),
        (("prepare", *TINY_COHORT, "--preset", "papr"), "did you mean 'paper'?"),
        (("prepare", *TINY_COHORT, "--n4"), "'tiny' is not prepared from volumes: leave out"),
        (("show", "--cohort", "phantom", "--no-brain-mask"), "'phantom' is not prepared from"),
        (("prepare", "--brain-extraction", "hdbet"), "'hdbet'; did you mean 'hd-bet'?"),
        (("prepare", "--no-brain-mask", "--brain-extraction", "hd-bet"), "no brain to extract"),
        (("show", *TINY_COHORT, "-o", "sheet.txt"), ".png, .pdf or .svg"),
        (("show", *TINY_COHORT, "-o", "no/sheet.png"), "no folder 'no'"),
        (("recipe", "study", "-o", "a.csv"), "a.csv exists; choose another file"),
        (("split", *TINY_COHORT, "--folds", "7"), "has only 6 subjects; use at most --folds 6"),
        (("split", *TINY_COHORT, "--split-file", "no.csv"), "there is no split file no.csv"),
        (
            ("split", *TINY_COHORT, "--split-file", "a.csv"),
            "split file a.csv needs a column subject",
        ),
    ],
    ids=str,
)
def test_each_mistake_has_a_one_line_error(
    mistake, tmp_path, monkeypatch, arguments: tuple[str, ...], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    dicom(tmp_path)
    (tmp_path / "one.nii.gz").touch()
    scan(tmp_path / "study", "A", "1")
    (tmp_path / "a.csv").write_text("path,subject,sesion,domain\n")
    assert message in mistake("data", *arguments)
