"""`harmbench harmonize`: the output is in the space of the scan, changed in the brain only."""

from __future__ import annotations

import gzip
import json
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from matplotlib import image
from nilearn.datasets import load_mni152_template
from scipy import ndimage

from harmbench.preprocessing.brain import crop_brain
from harmbench.preprocessing.nifti_read import load_volume
from harmbench.preprocessing.registration_cache import cached_registration
from harmbench.util.hashing import file_digest
from helpers import PLUGINS, TINY_COHORT, words
from helpers.interruption import interrupted

ODD_METHODS = ("--plugin", PLUGINS / "odd_methods.py")

# Halves the left half, so that a mirrored or shifted result is detected.
LEFT = """
import torch
from harmbench import Method, Needs, hookimpl

class Left(Method):
    name = "left"
    summary = "halves the left of the brain"
    needs = Needs.NOTHING

    def forward(self, scans):
        images = scans.images.clone()
        images[:, :, : images.shape[2] // 2] *= 0.5
        return scans.with_images(images)

@hookimpl
def register_methods():
    return {"left": Left}
"""


def brain(scale=1.0):
    """The template at 4 mm, in LAS orientation and int16."""
    result = load_mni152_template(resolution=4)
    data = np.asarray(result.dataobj)
    data = (np.where(data > 0.05, data, 0) * 1000 * scale).astype(np.int16)[::-1]
    affine = result.affine.copy()
    affine[:3, 3] += affine[:3, 0] * (len(data) - 1)
    affine[:3, 0] *= -1
    return nib.Nifti1Image(data, affine)


@pytest.fixture(scope="module")
def known(tmp_path_factory):
    """The scans of these tests, and a home that knows how they lie: that takes longest."""
    folder = tmp_path_factory.mktemp("scans")
    for name, scale in (("a", 1.0), ("b", 1.5), ("c", 2.0)):
        nib.save(brain(scale), folder / f"{name}.nii.gz")
        path = folder / f"{name}.nii.gz"
        cached_registration(file_digest(path), folder / "home", crop_brain(load_volume(path)))
    return folder


@pytest.fixture
def scan(known, tmp_path):
    """A scan in the test's own folder, and a home that knows it."""
    shutil.copytree(known / "home", tmp_path / "home")
    (tmp_path / "left.py").write_text(LEFT)
    return Path(shutil.copy(known / "a.nii.gz", tmp_path / "scan.nii.gz"))


@pytest.fixture
def study(scan, known, tmp_path):
    """A BIDS tree of three subjects."""
    for subject in "abc":
        folder = tmp_path / "study" / f"sub-{subject}" / "anat"
        folder.mkdir(parents=True)
        shutil.copy(known / f"{subject}.nii.gz", folder / f"sub-{subject}_T1w.nii.gz")
    return tmp_path / "study"


def voxels(path):
    return gzip.decompress(path.read_bytes())


def record(path):
    return json.loads(path.read_text())["Harmonization"]


def test_identity_gives_back_the_scan_to_the_last_byte(inside, scan, tmp_path):
    code, out, err = inside(
        "harmonize", scan, "-o", "out.nii.gz", "-m", "identity", "--mask", "mask.nii.gz"
    )
    assert (code, out) == (0, "wrote out.nii.gz\n"), err
    assert voxels(tmp_path / "out.nii.gz") == voxels(scan)
    mask = nib.load(tmp_path / "mask.nii.gz")
    source = nib.load(scan)
    inside_brain = np.asarray(source.dataobj) > 0
    assert (np.asarray(mask.dataobj)[~inside_brain] == 0).all()
    assert np.asarray(mask.dataobj)[inside_brain].mean() > 0.98
    np.testing.assert_array_equal(mask.affine, source.affine)
    assert image.imread(tmp_path / "out.png")[..., :3].std() > 0.1
    result = record(tmp_path / "out.json")
    assert result["SourceDigest"] == file_digest(scan)
    assert result["OutputDigest"] == file_digest(tmp_path / "out.nii.gz")
    assert result["Fit"] is None
    assert result["SlicesHarmonized"] > 100  # of 50 in the grid
    assert not list(tmp_path.glob(".*part"))


def test_a_change_is_applied_to_the_correct_side(inside, scan, tmp_path):
    code, _, err = inside(
        "harmonize", scan, "-o", "out.nii.gz", "-m", "left", "--plugin", "left.py", "--no-figure"
    )
    assert code == 0, err
    before = nib.as_closest_canonical(nib.load(scan)).get_fdata()
    after = nib.as_closest_canonical(nib.load(tmp_path / "out.nii.gz")).get_fdata()
    middle = len(before) // 2
    left, right = np.s_[: middle - 2], np.s_[middle + 2 :]
    np.testing.assert_array_equal(after[right], before[right])
    # All of the head's slices, and not only those of the grid.
    for k in np.flatnonzero((before[left] > 300).sum(axis=(0, 1)) > 40):
        part = before[left][..., k] > 300
        assert np.median(after[left][..., k][part] / before[left][..., k][part]) == pytest.approx(
            0.5, abs=0.06
        )
    assert nib.load(tmp_path / "out.nii.gz").header == nib.load(scan).header
    assert not (tmp_path / "out.png").exists()


def test_grid_only_leaves_the_other_slices_alone(inside, scan, tmp_path):
    code, _, err = inside(
        "harmonize", scan, *words("-o out.nii.gz -m left --grid-only --plugin left.py --no-figure")
    )
    assert code == 0, err
    before, after = (nib.as_closest_canonical(nib.load(path)) for path in (scan, "out.nii.gz"))
    heights = before.affine[2, 3] + before.affine[2, 2] * np.arange(before.shape[2])
    changed = (before.get_fdata() != after.get_fdata()).any(axis=(0, 1))
    assert changed[(heights > 0) & (heights < 40)].all()
    assert not changed[(heights < -25) | (heights > 60)].any()
    assert record(tmp_path / "out.json")["SlicesBeyondGrid"] == 0


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


def test_existing_output_is_kept_and_that_of_another_method_refused(inside, scan, tmp_path):
    arguments = ("harmonize", scan, "-o", "out.nii.gz", "--no-figure", "--plugin", "left.py", "-m")
    assert inside(*arguments, "identity")[0] == 0
    assert inside(*arguments, "identity")[:2] == (0, "out.nii.gz already exists\n")
    code, _, err = inside(*arguments, "left")
    assert code == 2
    assert "out.nii.gz exists and is not the result of this fit" in err
    assert voxels(tmp_path / "out.nii.gz") == voxels(scan)
    assert inside(*arguments, "left", "--force")[1] == "wrote out.nii.gz\n"
    assert voxels(tmp_path / "out.nii.gz") != voxels(scan)
    # Another file of this name is not our output, even with a sidecar next to it.
    shutil.copy(scan, tmp_path / "out.nii.gz")
    assert inside(*arguments, "left")[0] == 2


def test_a_folder_becomes_a_derivative_without_the_bad_scan(inside, study, tmp_path):
    bad = study / "sub-b" / "anat" / "sub-b_T1w.nii.gz"
    bad.write_bytes(bad.read_bytes()[:2000])
    folder = study / "derivatives" / "left"
    arguments = ("harmonize", study, "-o", folder, *words("-m left --plugin left.py --jobs 1"))
    code, out, err = inside(*arguments)
    assert code == 1
    assert out.startswith("3 scans: 2 harmonised, 0 already existed, 1 left out")
    assert "left out sub-b/anat/sub-b_T1w.nii.gz: sub-b_T1w.nii.gz is truncated" in err
    result = study / "derivatives" / "left"
    files = {path.relative_to(result).as_posix() for path in result.rglob("*") if path.is_file()}
    stems = [f"sub-{subject}/anat/sub-{subject}_desc-harmonized_" for subject in "ac"]
    endings = ("T1w.nii.gz", "T1w.json", "T1w.png", "mask.nii.gz")
    assert files == {"dataset_description.json", ".bidsignore"} | {
        s + e for s in stems for e in endings
    }
    description = json.loads((result / "dataset_description.json").read_text())
    assert description["DatasetType"] == "derivative"
    assert description["GeneratedBy"][0]["Name"] == "harmbench"
    assert description["GeneratedBy"][0]["Method"] == "left"
    sidecar = json.loads((result / f"{stems[0]}T1w.json").read_text())
    assert sidecar["Sources"] == ["bids:raw:sub-a/anat/sub-a_T1w.nii.gz"]
    code, out, _ = inside(*arguments)  # its own output, inside of the tree, is no input
    assert out.startswith("3 scans: 0 harmonised, 2 already existed, 1 left out")
    code, _, err = inside(*arguments[:4], "-m", "identity")
    assert code == 2
    assert "holds scans of another fit: left, fit none" in err


def test_a_killed_folder_run_resumes(start, inside, study, tmp_path):
    arguments = ("harmonize", study, "-o", "out", "-m", "identity", "--jobs", "1")
    first = tmp_path / "out" / "sub-a" / "anat" / "sub-a_desc-harmonized_T1w.nii.gz"
    interrupted(start(*arguments), first.exists)
    written = first.stat().st_mtime_ns
    code, out, errors = inside(*arguments)
    assert code == 0, errors
    assert "0 left out" in out
    assert first.stat().st_mtime_ns == written
    assert len(list((tmp_path / "out").rglob("*_T1w.nii.gz"))) == 3
    assert not list((tmp_path / "out").rglob(".*part"))


def test_a_folder_in_two_processes_gives_the_same_bytes(inside, study, tmp_path):
    arguments = ("harmonize", study, "-m", "left", "--plugin", tmp_path / "left.py", "--no-figure")
    for out, jobs in (("one", 1), ("two", 2)):
        code, _, errors = inside(*arguments, "-o", out, "--jobs", jobs)
        assert code == 0, errors
    for path in (tmp_path / "one").rglob("*.nii.gz"):
        other = tmp_path / "two" / path.relative_to(tmp_path / "one")
        assert path.read_bytes() == other.read_bytes()


def test_a_folder_without_bids_names_keeps_the_names(inside, study, tmp_path, known):
    plain = tmp_path / "plain"
    plain.mkdir()
    shutil.copy(known / "a.nii.gz", plain / "first.nii.gz")
    code, _, err = inside("harmonize", plain, "-o", "out", "-m", "identity", "--no-figure")
    assert code == 0, err
    assert voxels(tmp_path / "out" / "first.nii.gz") == voxels(plain / "first.nii.gz")
    assert (tmp_path / "out" / "first_mask.nii.gz").exists()


def test_a_head_is_harmonised_inside_of_its_brain_mask(inside, scan, tmp_path):
    source = nib.load(scan)
    data = np.asarray(source.dataobj).copy()
    mask = data > 0
    data[~mask] = 250
    nib.save(nib.Nifti1Image(data, source.affine), tmp_path / "head.nii.gz")
    nib.save(nib.Nifti1Image(mask.astype(np.uint8), source.affine), tmp_path / "brain.nii.gz")
    code, _, err = inside(
        *words("harmonize head.nii.gz --brain-mask brain.nii.gz"),
        *words("-o out.nii.gz -m left --plugin left.py"),
    )
    assert code == 0, err
    after = np.asarray(nib.load(tmp_path / "out.nii.gz").dataobj)
    np.testing.assert_array_equal(after[~mask], data[~mask])
    assert (after[mask] != data[mask]).mean() > 0.3


def damaged(path, kind):
    source = nib.load(path)
    data = np.asarray(source.dataobj).astype(np.float32)
    if kind == "truncated":
        path.write_bytes(path.read_bytes()[:3000])
        return
    if kind == "dicom":
        path.write_bytes(b"\0" * 128 + b"DICM" + b"\0" * 1000)
        return
    if kind == "4-D":
        data = np.stack([data, data], axis=-1)
    elif kind == "empty":
        data[:] = 0
    elif kind == "NaN":
        data[25, 25, 25] = np.nan
    nib.save(nib.Nifti1Image(data, source.affine), path)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("truncated", "scan.nii.gz is truncated"),
        ("dicom", "dcm2niix"),
        ("4-D", "scan.nii.gz has shape (50, 59, 48, 2); one 3-D volume is needed"),
        ("empty", "scan.nii.gz is empty: no voxel differs from the background"),
        ("NaN", "scan.nii.gz has non-finite voxels (NaN or infinity) inside the brain: 1"),
    ],
)
def test_a_bad_scan_gets_one_line_and_leaves_nothing(mistake, scan, tmp_path, kind, message):
    damaged(scan, kind)
    before = set(tmp_path.iterdir())
    assert message in mistake("harmonize", scan, "-o", tmp_path / "out.nii.gz", "-m", "identity")
    assert set(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere.nii.gz", "-o", "out.nii.gz", "-m", "identity"], "nowhere.nii.gz is missing"),
        (["scan.nii.gz", "-m", "identity"], "missing --output"),
        (["scan.nii.gz", "-o", "out.nii.gz"], "either --fit KEY or --method NAME"),
        (["scan.nii.gz", "-o", "o.nii", "-m", "identity", "--fit", "a"], "either --fit KEY or"),
        (
            ["scan.nii.gz", "-o", "out.mgz", "-m", "identity"],
            "--output 'out.mgz' must end in .nii or .nii.gz",
        ),
        (["scan.nii.gz", "-o", "no/out.nii", "-m", "identity"], "no folder 'no' to write --output"),
        (["scan.nii.gz", "-o", "scan.nii.gz", "-m", "identity"], "'scan.nii.gz' is an input"),
        (["scan.nii.gz", "-o", "o.nii", "--mask", "o.nii", "-m", "identity"], "different names"),
        (["scan.nii.gz", "-o", "out.nii.gz", "-m", "identty"], "did you mean 'identity'?"),
        (
            ["scan.nii.gz", "-o", "out.nii.gz", "-m", "histogram"],
            "--task is missing, or give --fit",
        ),
        (["scan.nii.gz", "-o", "out.nii.gz", "-m", "oracle"], "'oracle' is a control"),
        (["scan.nii.gz", "-o", "out.nii.gz", "--fit", "abc"], "no fit 'abc' in"),
        (["scan.nii.gz", "-o", "out.nii.gz", "--fit", "abc", "--seed", "1"], "leave out --seed"),
        ([".", "-o", "out", "--mask", "m.nii", "-m", "identity"], "--mask is for a single scan"),
        ([".", "-o", ".", "-m", "identity"], "holds the scans themselves"),
        (["home", "-o", "out", "-m", "identity"], "'home' has no image file"),
        (["--fits"], "no fits in"),
    ],
    ids=lambda value: None if isinstance(value, list) else value[:30],
)
def test_each_mistake_has_a_one_line_error(
    mistake, scan, tmp_path, monkeypatch, arguments, message
):
    monkeypatch.chdir(tmp_path)
    assert message in mistake("harmonize", *arguments)


def test_a_bias_field_is_removed_for_the_method_only(inside, scan, tmp_path):
    out = tmp_path / "out.nii.gz"
    code, _, err = inside("harmonize", scan, "-o", out, "-m", "identity", "--no-figure", "--n4")
    assert code == 0, err
    assert gzip.decompress(out.read_bytes()) == gzip.decompress(scan.read_bytes())
    record = json.loads((tmp_path / "out.json").read_text())["Harmonization"]
    assert record["BiasCorrection"] == "N4"
    assert record["BrainExtraction"] == "none: it was brain-extracted"
    # Without it, it would be another file.
    arguments = ("harmonize", scan, "-o", out, "-m", "identity", "--no-figure")
    assert "is not the result of this fit" in inside(*arguments)[2]


def test_a_head_is_harmonized_as_a_head_where_that_is_asked_for(inside, scan, tmp_path):
    source = nib.load(scan)
    brain = np.asarray(source.dataobj) > 0
    around = ndimage.binary_dilation(brain, iterations=7) & ~ndimage.binary_dilation(brain)
    data = np.asarray(source.dataobj) + (200 * around).astype(source.get_data_dtype())
    nib.save(nib.Nifti1Image(data, source.affine, source.header), scan)
    arguments = ("harmonize", scan, "-o", "out.nii.gz", "-m", "identity", "--no-figure")
    said = inside(*arguments, "--brain-extraction", "none")[2]
    assert "scan.nii.gz is a head (" in said
    assert "leave out --brain-extraction none" in said
    code, _, err = inside(*arguments, "--no-brain-mask", "--mask", "mask.nii.gz")
    assert code == 0, err
    record = json.loads((tmp_path / "out.json").read_text())["Harmonization"]
    assert record["BrainExtraction"] == "none: the head was kept"
    assert record["VoxelsChanged"] > 1.3 * brain.sum()


def test_a_failing_method_is_named_and_its_scan_left_out(inside, study):
    code, out, err = inside(
        "harmonize", study, *words("-o out -m out-of-range --jobs 1"), *ODD_METHODS
    )
    assert code == 1
    assert "3 left out" in out
    assert err.count("out-of-range failed: ContractError: expected intensities in [0, 1]") == 3


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
