"""`harmbench data export-inputs` and `harmbench score`, on a tiny cohort."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil

import nibabel as nib
import numpy as np
import pytest

from helpers import TINY_COHORT, words

# MLflow raises deprecation warnings about itself.
pytestmark = pytest.mark.filterwarnings("default")

METHOD = """
import numpy as np
from harmbench import Needs, VolumeMethod, hookimpl

class Darker(VolumeMethod):
    name, summary, needs = "darker", "halve", Needs.NOTHING

    def harmonize(self, scan):
        return scan.image * np.float32(0.5)

@hookimpl
def register_methods():
    return {"darker": Darker}
"""


def halved(inputs, output):
    for path in (inputs / "test").rglob("*_T1w.nii.gz"):
        image = nib.load(path)
        result = output / path.relative_to(inputs / "test")
        result.parent.mkdir(parents=True, exist_ok=True)
        data = np.asarray(image.dataobj) * np.float32(0.5)
        nib.save(nib.Nifti1Image(data, image.affine), result)


def scores_of(inside, label):
    _, out, _ = inside("leaderboard", "--format", "csv", "--metric", "psnr")
    return {row["task"]: row for row in csv.DictReader(io.StringIO(out)) if row["method"] == label}


@pytest.fixture
def images(inside, tmp_path):
    tasks = words("-t domain1 -t sim-exp")
    code, out, err = inside("data", "export-inputs", "inputs", *tasks, *TINY_COHORT)
    assert code == 0, err
    assert re.match(r"wrote \d+ scans to inputs", out)
    assert (
        "harmbench score harmonised --name MY-METHOD" in (tmp_path / "inputs/README.md").read_text()
    )
    halved(tmp_path / "inputs", tmp_path / "images")
    return tmp_path / "images"


def test_a_submission_scores_as_the_same_map_in_python(inside, images, tmp_path):
    (tmp_path / "darker.py").write_text(METHOD)
    tasks = words("-t domain1 -t sim-exp")
    run = ("run", "--plugin", "darker.py", "-m", "darker", "-m", "identity", *tasks, *TINY_COHORT)
    assert inside(*run)[0] == 0
    score = ("score", "images", "--name", "tool", *tasks, *TINY_COHORT)
    code, out, err = inside(*score, "--author", "A. Author", "--date", "2026-11-28")
    assert code == 0, err
    assert out.startswith("2 cells: 2 done")
    shutil.rmtree(images)  # the board needs records only
    own, other = scores_of(inside, "tool"), scores_of(inside, "darker")
    assert own.keys() == other.keys() == {"domain1", "sim-exp"}
    for task in own:
        for column in ("value", "low", "high", "subjects", "mean_rank", "ranked", "status"):
            assert own[task][column] == other[task][column]
        assert own[task]["submission_author"] == "A. Author"
    _, board, _ = inside("leaderboard")
    assert re.search(r"^ *tool §", board, re.MULTILINE)
    assert "§ tool: submitted, harmonised elsewhere (A. Author, 2026-11-28, images" in board
    _, out, _ = inside("compare", "tool@domain1", "darker@domain1")
    assert "A: tool on domain1" in out
    assert inside("report", "-o", "report")[0] == 0
    pages = "".join(path.read_text() for path in (tmp_path / "report").rglob("*.html"))
    assert "<small>submitted</small>" in pages
    assert inside("export", "-o", "all.csv")[0] == 0
    with (tmp_path / "all.csv").open() as stream:
        origins = {row["submission"] for row in csv.DictReader(stream) if row["label"] == "tool"}
    assert {json.loads(text)["author"] for text in origins} == {"A. Author"}


def test_missing_and_wrong_images_are_named(inside, images):
    score = ("score", "images", "--name", "tool", "-t", "domain1", *TINY_COHORT)
    missing, other, *_ = sorted((images / "domain1").rglob("*_T1w.nii.gz"))
    count = len(list((images / "domain1").rglob("*_T1w.nii.gz")))
    sub, ses = re.match(r"sub-(.+)_ses-(.+)_T1w", missing.name).groups()
    moved = missing.rename(images / "kept.nii.gz")
    code, _, err = inside(*score)
    assert code == 0
    assert f"missing: 1 of {count} images of tool on domain1, seed 0: {sub}/{ses}" in err
    assert inside("run", "-m", "identity", "-m", "scale", "-t", "domain1", *TINY_COHORT)[0] == 0
    row = scores_of(inside, "tool")["domain1"]
    assert (row["status"], row["subjects"]) == ("partial", str(count - 1))
    assert float(row["mean_rank"]) == 2  # after the one ranked method with all images
    _, board, _ = inside("leaderboard", "--metric", "psnr")
    assert f"tool on domain1: partial, shown and not ranked: no image of {sub}/{ses}" in board

    shutil.copy(other, missing)
    code, _, err = inside(*score)
    assert code == 2
    assert re.search(rf"wrong: {re.escape(str(missing))}: its correlation with the scan is", err)
    assert "nothing was scored" in err
    moved.replace(missing)
    code, _, err = inside(*score)
    assert code == 0, err
    assert scores_of(inside, "tool")["domain1"]["status"] == "done"


def test_the_last_images_under_a_name_count(inside, images, tmp_path):
    score = ("score", "images", "--name", "tool", "-t", "domain1", *TINY_COHORT)
    assert inside(*score)[0] == 0
    first = scores_of(inside, "tool")["domain1"]["value"]
    shutil.copytree(images, tmp_path / "before")
    for path in (images / "domain1").rglob("*.nii.gz"):
        image = nib.load(path)
        data = np.asarray(image.dataobj) * np.float32(0.5)
        nib.save(nib.Nifti1Image(data, image.affine), path)
    assert inside(*score)[0] == 0
    second = scores_of(inside, "tool")["domain1"]["value"]
    assert second != first
    shutil.rmtree(images)
    (tmp_path / "before").rename(images)
    assert inside(*score)[0] == 0
    assert scores_of(inside, "tool")["domain1"]["value"] == first
    assert inside(*score[:2], "--name", "other", *score[4:])[0] == 0
    assert scores_of(inside, "other")["domain1"]["value"] == first


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ("score nothing --name tool -t domain1", "there is no folder or CSV file"),
        ("score . --name histogram -t domain1", "a method has this name"),
        ("score . --name tool", "missing --task"),
        ("score . --name tool -t domain1", "has no image named as"),
        ("data export-inputs inputs", "missing --task"),
    ],
)
def test_a_mistake_is_one_line(arguments, reason, mistake):
    cohort = TINY_COHORT if "-t" in words(arguments) else ()
    assert reason in mistake(*words(arguments), *map(str, cohort))
