"""`harmbench harmonize` with the fits of cells."""

from __future__ import annotations

import json

from helpers import PLUGINS, TINY_COHORT
from helpers.harmonizing import record, voxels

ODD_METHODS = ("--plugin", PLUGINS / "odd_methods.py")


def test_the_fit_is_that_of_a_cell_and_is_found_again_by_its_key(
    inside, scan, tmp_path, monkeypatch
):
    monkeypatch.setenv("COUNTS_LOG", str(tmp_path / "fits.log"))
    run = ("run", "-m", "counts", "-t", "domain1", *TINY_COHORT, *ODD_METHODS)
    code, _, err = inside(*run, "--folds", "2")
    assert code == 0, err
    of_folds = {path.parent.name for path in (tmp_path / "home").glob("fits/[!.]*/fit.json")}
    assert len(of_folds) == 2
    (tmp_path / "fits.log").unlink()
    code, _, err = inside(*run)
    assert code == 0, err
    arguments = ("harmonize", scan, "--no-figure")
    code, _, err = inside(
        *arguments, "-o", "a.nii.gz", "-m", "counts", "-t", "domain1", *TINY_COHORT, *ODD_METHODS
    )
    assert code == 0, err
    assert (tmp_path / "fits.log").read_text() == "seed 0\n"
    result = record(tmp_path / "a.json")
    listed = inside("harmonize", "--fits")[1]
    assert result["Fit"] in listed
    assert "counts" in listed
    assert "1 of 2 folds" in listed
    assert result["Fit"] not in of_folds
    assert (result["Split"], result["Fold"]) == ("test", 0)
    compared = result["Familiarity"]
    assert (compared["Domain"], compared["OfTargetOnly"]) == ("goal", True)
    code, _, err = inside(*arguments, "-o", "fold.nii.gz", "--fit", min(of_folds), *ODD_METHODS)
    assert code == 0, err
    assert "of 2 folds: it was made without the subjects that this fold tests" in err
    assert record(tmp_path / "fold.json")["Fold"] in (1, 2)
    code, _, err = inside(
        *arguments,
        "-o",
        "b.nii.gz",
        "--fit",
        result["Fit"][:6],
        "--plugin",
        PLUGINS / "odd_methods.py",
    )
    assert code == 0, err
    assert voxels(tmp_path / "a.nii.gz") == voxels(tmp_path / "b.nii.gz") != voxels(scan)
    assert (result["TargetDomain"], result["Task"]) == ("goal", "domain1")


def test_a_method_on_all_sites_receives_the_site_of_the_task(inside, scan, tmp_path, monkeypatch):
    monkeypatch.setenv("SITES_LOG", str(tmp_path / "sites.log"))
    plugins = (*TINY_COHORT, "--plugin", PLUGINS / "site_methods.py")
    arguments = ("harmonize", scan, "--no-figure", "-o", "out.nii.gz")
    code, _, err = inside(*arguments, "-m", "site-means", "-t", "domain1", *plugins)
    assert code == 0, err
    records = [json.loads(line) for line in (tmp_path / "sites.log").read_text().splitlines()]
    assert {line["domain"] for line in records if "domain" in line} == {"domain1"}
    fit = record(tmp_path / "out.json")["Fit"]
    code, _, err = inside(*arguments, "--force", "--fit", fit, *plugins[-2:])
    assert code == 2
    assert "is of all sites: give --method and --task, which names the scan's site" in err


def test_a_fit_of_a_method_that_has_changed_since_is_refused(inside, scan, tmp_path):
    code, _, err = inside("run", "-m", "histogram", "-t", "domain1", *TINY_COHORT)
    assert code == 0, err
    (description,) = (tmp_path / "home" / "fits").glob("*/fit.json")
    fit = json.loads(description.read_text())
    arguments = ("harmonize", scan, "-o", "out.nii.gz", "--fit", description.parent.name[:8])
    description.write_text(json.dumps({**fit, "version": "0"}))
    assert "is of version 0 of 'histogram', but version 1 is installed" in inside(*arguments)[2]
    description.write_text(json.dumps({**fit, "settings": {}}))
    assert "made before 'histogram' had the setting 'quantiles'" in inside(*arguments)[2]
