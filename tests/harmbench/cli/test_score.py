"""`harmbench data export-inputs` and `harmbench score`, on a tiny cohort."""

from __future__ import annotations

import csv
import io
import json
import re
import shlex
import shutil

import nibabel as nib
import numpy as np
import pytest

from helpers import TINY_COHORT, words
from helpers.commands import CLASS, TOOL, Tool

# MLflow raises deprecation warnings about itself.
pytestmark = pytest.mark.filterwarnings("default")


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


def test_a_class_a_command_and_a_submission_of_one_map_have_equal_rows(inside, images, tmp_path):
    (tmp_path / "darker.py").write_text(CLASS)
    tool = Tool(tmp_path)
    tasks = words("-t domain1 -t sim-exp")
    plugins = ("--plugin", "darker.py", "--plugin", "tool.toml")
    methods = ("-m", "darker", "-m", "tool", "-m", "identity")
    run = ("run", *plugins, *methods, *tasks, *TINY_COHORT)
    assert inside(*run)[0] == 0
    score = ("score", "images", "--name", "elsewhere", *tasks, *TINY_COHORT)
    code, out, err = inside(*score, "--author", "A. Author", "--date", "2026-11-28")
    assert code == 0, err
    assert out.startswith("2 cells: 2 done")
    shutil.rmtree(images)  # the board needs records only
    submitted, *others = (scores_of(inside, name) for name in ("elsewhere", "darker", "tool"))
    for other in others:
        assert submitted.keys() == other.keys() == {"domain1", "sim-exp"}
        for task in other:
            for column in ("value", "low", "high", "subjects", "mean_rank", "ranked", "status"):
                assert submitted[task][column] == other[task][column]
    assert {row["submission_author"] for row in submitted.values()} == {"A. Author"}
    _, board, _ = inside("leaderboard")
    assert re.search(r"^ *elsewhere §", board, re.MULTILINE)
    assert "§ elsewhere: submitted, harmonised elsewhere (A. Author, 2026-11-28, images" in board
    _, out, _ = inside("compare", "elsewhere@domain1", "darker@domain1")
    assert "A: elsewhere on domain1" in out
    assert inside("report", "-o", "report")[0] == 0
    pages = "".join(path.read_text() for path in (tmp_path / "report").rglob("*.html"))
    assert "<small>submitted</small>" in pages
    assert inside("export", "-o", "all.csv")[0] == 0
    with (tmp_path / "all.csv").open() as stream:
        rows = [row for row in csv.DictReader(stream) if row["label"] == "elsewhere"]
    assert {json.loads(row["submission"])["author"] for row in rows} == {"A. Author"}

    calls = len(tool.calls)
    (tmp_path / "tool.py").write_text(TOOL.replace("value / 2", "value / 4"))
    assert inside(*run)[1].startswith("6 cells: 2 done, 4 cached")
    assert len(tool.calls) > calls
    quarter = scores_of(inside, "tool")
    assert all(quarter[task]["value"] != submitted[task]["value"] for task in quarter)
    # Changed back: the stored results count again.
    (tmp_path / "tool.py").write_text(TOOL)
    assert inside(*run)[1].startswith("6 cells: 6 cached")
    again = scores_of(inside, "tool")
    assert all(again[task]["value"] == submitted[task]["value"] for task in again)


def test_inputs_and_scores_of_another_target_and_of_a_fit_cohort(inside, tmp_path):
    fits = words("-t sim-exp@domain1 --target domain1 --fit-cohort tiny:7-others")
    code, _, err = inside("data", "export-inputs", "inputs", *fits, *TINY_COHORT)
    assert code == 0, err
    with (tmp_path / "inputs" / "split.tsv").open() as stream:
        rows = list(csv.DictReader(stream, delimiter="\t"))
    tests = {row["subject"] for row in rows if row["split"] == "test"}
    learnt = {row["subject"] for row in rows if row["split"] != "test"}
    assert tests == {f"p{i}" for i in range(6)}
    assert learnt
    assert all(name.startswith("r") for name in learnt)

    halved(tmp_path / "inputs", tmp_path / "harmonised")
    readme = (tmp_path / "inputs" / "README.md").read_text()
    (command,) = re.findall("harmbench (score .+)", readme)
    code, out, err = inside(*shlex.split(command))
    assert code == 0, err
    assert out.startswith("1 cell: 1 done")
    (path,) = (tmp_path / "home" / "cells").glob("*/result.json")
    cell = json.loads(path.read_text())["cell"]
    assert (cell["task"], cell["target"], cell["fit_cohort"]) == (
        "sim-exp@domain1",
        "domain1",
        "tiny",
    )


@pytest.mark.slow
def test_results_of_a_fit_cohort_are_verified_with_it_only(inside):
    fits = words("--target domain1 --fit-cohort tiny:7-others")
    run = inside("run", "-m", "histogram", "-t", "sim-exp@domain1", *fits, *TINY_COHORT)
    assert run[0] == 0, run[2]
    assert inside("publish", "-o", "lab.harmbench.zip")[0] == 0
    verify = ("verify", "lab.harmbench.zip", *TINY_COHORT)
    code, out, _ = inside(*verify)
    assert code == 1
    assert "give that cohort with --fit-cohort" in out
    code, out, _ = inside(*verify, "--fit-cohort", "tiny:8-others", "--target", "domain1")
    assert code == 1
    assert "has other scans" in out
    code, out, err = inside(*verify, "--fit-cohort", "tiny:7-others")
    assert code == 0, out + err
    assert "1 of 1 result confirmed" in out


def test_missing_and_wrong_images_are_named(inside, images):
    score = ("score", "images", "--name", "tool", "-t", "domain1", *TINY_COHORT)
    missing, other, *_ = sorted((images / "domain1").rglob("*_T1w.nii.gz"))
    count = len(list((images / "domain1").rglob("*_T1w.nii.gz")))
    sub, ses = re.match(r"sub-(.+)_ses-(.+)_T1w", missing.name).groups()
    moved = missing.rename(images / "kept.nii.gz")
    code, _, err = inside(*score)
    assert code == 0, err
    assert f"missing: 1 of {count} images of tool on domain1, seed 0: {sub}/{ses}" in err
    assert inside("run", "-m", "identity", "-m", "histogram", "-t", "domain1", *TINY_COHORT)[0] == 0
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
        ("score . --name tool -t sim-exp --target each", "--target each: a folder has images"),
        ("data export-inputs i -t sim-exp --target goal --target domain1", "for one target"),
        ("data export-inputs i -t sim-exp --fit-recipe r.toml", "--fit-cohort is missing"),
        ("score . --name tool -t sim-exp --fit-cohort tiny", "is the cohort that is tested"),
        ("score . --name tool -t domain1", "has no image named as"),
        ("data export-inputs inputs", "missing --task"),
    ],
)
def test_a_mistake_is_one_line(arguments, reason, mistake):
    cohort = TINY_COHORT if "-t" in words(arguments) else ()
    assert reason in mistake(*words(arguments), *map(str, cohort))
