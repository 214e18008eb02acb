"""`harmbench harmonize` with methods that declare covariates."""

from __future__ import annotations

import json

import pytest

from helpers import PLUGINS, TINY_COHORT
from helpers.harmonizing import record, voxels

AGE = ("-m", "age-means", "-t", "domain1", "--plugin", PLUGINS / "site_methods.py", *TINY_COHORT)


def covariates(*assignments):
    return [part for text in assignments for part in ("--covariate", text)]


def log_of(tmp_path, name):
    lines = map(json.loads, (tmp_path / "sites.log").read_text().splitlines())
    return [line[name] for line in lines if name in line]


def test_a_method_receives_the_covariates_of_a_scan(inside, scan, tmp_path, monkeypatch):
    monkeypatch.setenv("SITES_LOG", str(tmp_path / "sites.log"))
    arguments = ("harmonize", scan, "--no-figure", *AGE, "-o")
    code, _, err = inside(*arguments, "old.nii.gz", *covariates("age=63", "sex=F"))
    assert code == 0, err
    assert set(map(tuple, log_of(tmp_path, "ages"))) == {(63.0,)}
    assert set(map(tuple, log_of(tmp_path, "sexes"))) == {("F",)}
    assert record(tmp_path / "old.json")["Covariates"] == {"age": "63", "sex": "F"}
    # Older subjects than the mean are moved, others are not; another age is another result.
    young = covariates("age=5", "sex=F")
    assert "exists and is not the result" in inside(*arguments, "old.nii.gz", *young)[2]
    assert inside(*arguments, "young.nii.gz", *young)[0] == 0
    assert voxels(tmp_path / "old.nii.gz") != voxels(scan) == voxels(tmp_path / "young.nii.gz")
    volumes = ["site-volumes" if part == "age-means" else part for part in arguments]
    assert inside(*volumes, "volume.nii.gz", *covariates("age=41"))[0] == 0
    assert log_of(tmp_path, "age")[-1] == 41.0
    code, _, err = inside(*arguments, "x.nii.gz", *covariates("age=old", "sex=F"))
    assert code == 2
    assert "the covariate age must be a number, and is 'old'" in err
    code, _, err = inside(*arguments, "x.nii.gz", *covariates("age=63", "sex=female"))
    assert code == 2
    assert "the covariate sex is 'female'; the fit has seen F, M only" in err


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ((), "give --covariate age=VALUE --covariate sex=VALUE"),
        (("age=63",), "give --covariate sex=VALUE"),
        (("age=63", "sx=F"), "'sx'; did you mean 'sex'?"),
        (("age",), "--covariate 'age' has not the form NAME=VALUE"),
        (("age=1", "age=2", "sex=F"), "--covariate 'age' occurs twice"),
    ],
)
def test_wrong_covariates_are_reported_before_any_work(mistake, tmp_path, given, message):
    arguments = ("harmonize", "scan.nii.gz", "-o", "out.nii.gz", *AGE, *covariates(*given))
    assert message in mistake(*arguments)
    assert not (tmp_path / "home" / "cohorts").exists()


def test_covariates_need_a_method_that_declares_them(mistake):
    arguments = ("harmonize", "scan.nii.gz", "-o", "out.nii.gz", "-m", "identity")
    assert "'identity' uses no covariates" in mistake(*arguments, *covariates("age=63"))


def test_covariates_of_a_folder_are_those_of_its_tables(inside, study, tmp_path, monkeypatch):
    monkeypatch.setenv("SITES_LOG", str(tmp_path / "sites.log"))
    table = "participant_id\tage\tsex\nsub-a\t63\tF\nsub-b\tn/a\tM\nsub-c\t20\tM\n"
    (study / "participants.tsv").write_text(table)
    arguments = ("harmonize", study, "-o", "out", "--no-figure", "--jobs", "1", *AGE)
    code, out, err = inside(*arguments)
    assert code == 1
    assert "3 scans: 2 harmonised" in out
    assert "left out sub-b/anat/sub-b_T1w.nii.gz: no value of age" in err
    assert {(63.0,), (20.0,)} <= set(map(tuple, log_of(tmp_path, "ages")))
    assert "--covariate is for a single scan" in inside(*arguments, *covariates("age=63"))[2]
