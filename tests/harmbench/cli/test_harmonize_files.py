"""`harmbench harmonize` with damaged, odd and foreign files: checked first, and never silent."""

from __future__ import annotations

import gzip
import json
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from helpers.registrations import reuse_registration, share_registrations
from helpers.volumes import coarse


@pytest.fixture
def scan(tmp_path, registrations):
    """A scan, next to a home that has its registration."""
    share_registrations(registrations, tmp_path / "home")
    nib.save(coarse(), tmp_path / "scan.nii.gz")
    reuse_registration(tmp_path / "home", tmp_path / "scan.nii.gz")
    return tmp_path / "scan.nii.gz"


def spoilt(content):
    return content[:-6] + bytes([content[-6] ^ 0xFF]) + content[-5:]


DAMAGE = {
    "crc": (spoilt, "is damaged: the checksum"),
    "trailer": (lambda content: content[:-8], "is truncated"),
    "appended": (lambda content: content + b"garbage", "other data follows"),
    "plain": (gzip.decompress, "is not a gzip file"),
    "pointer": (lambda _: b"/annex/objects/SHA256E-s5000--abc.nii.gz\n", "datalad get"),
}


@pytest.mark.parametrize(("jobs", "good"), [(1, 1), pytest.param(2, 15, marks=pytest.mark.slow)])
def test_damaged_scans_do_not_stop_a_folder(inside, scan, tmp_path, jobs, good):
    folder = tmp_path / "scans"
    folder.mkdir()
    for index in range(good):
        shutil.copy(scan, folder / f"good{index}.nii.gz")
    content = scan.read_bytes()
    for name, (change, _) in DAMAGE.items():
        (folder / f"{name}.nii.gz").write_bytes(change(content))
    arguments = ("harmonize", folder, "-o", "out", "-m", "identity", "--no-figure")
    code, out, err = inside(*arguments, "--jobs", jobs)
    assert code == 1
    assert out.startswith(f"{good + 5} scans: {good} harmonised, 0 already existed, 5 left out")
    lines = [line for line in err.replace("\n ", " ").splitlines() if "left out" in line]
    assert len(lines) == 5
    text = " ".join(err.split())
    for name, (_, reason) in DAMAGE.items():
        assert f"left out {name}.nii.gz" in text
        assert reason in text
    results = sorted((tmp_path / "out").glob("good*.nii.gz"))
    assert len([path for path in results if not path.name.endswith("_mask.nii.gz")]) == good


def test_what_is_known_without_a_fit_is_checked_before_it(mistake, scan, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data = np.asarray(coarse().dataobj)
    noise = np.random.default_rng(0).uniform(0.2, 0.9, data.shape).astype(np.float32)
    nib.save(nib.Nifti1Image(np.where(data > 0, data, noise), coarse().affine), "head.nii.gz")
    nib.save(nib.Nifti1Image(np.ones((9, 9, 9), np.uint8), coarse().affine), "mask.nii.gz")
    shutil.copy(scan, tmp_path / "taken.nii.gz")
    (tmp_path / "folder.nii").mkdir()
    learned = ("-m", "histogram", "-t", "domain1")
    cases = {
        ("head.nii.gz", "-o", "o.nii", "--brain-extraction", "none"): "head.nii.gz is a head",
        ("scan.nii.gz", "-o", "o.nii", "--brain-mask", "mask.nii.gz"): "mask.nii.gz has shape",
        ("scan.nii.gz", "-o", "taken.nii.gz"): "give --force to replace it",
        ("scan.nii.gz", "-o", "folder.nii"): "is a folder; give the name of a file",
        ("none.nii.gz", "-o", "o.nii"): "none.nii.gz is missing",
        (".", "-o", "o.nii"): "'o.nii' is the name of a file",
    }
    if Path("/proc/self").exists():  # a folder that no user can write to, root included
        cases["/proc", "-o", "/proc/out"] = "cannot be written to '/proc'"
    for arguments, message in cases.items():
        assert message in mistake("harmonize", *arguments, *learned), arguments
    # No cohort was made and no method was fitted.
    assert not list((tmp_path / "home").glob("cohorts/*"))
    assert not list((tmp_path / "home").glob("fits/*"))


def test_a_conversion_is_stated(inside, scan, tmp_path):
    source = nib.load(scan)
    nib.save(nib.MGHImage(source.get_fdata(dtype=np.float32), source.affine), tmp_path / "s.mgz")
    reuse_registration(tmp_path / "home", tmp_path / "s.mgz")
    code, _, err = inside("harmonize", "s.mgz", "-o", "out.nii.gz", "-m", "identity", "--no-figure")
    assert code == 0, err
    assert "the MGH image is written as NIfTI" in " ".join(err.split())
    record = json.loads((tmp_path / "out.json").read_text())["Harmonization"]
    assert record["ConvertedFrom"] == "MGH"
    np.testing.assert_array_equal(nib.load(tmp_path / "out.nii.gz").get_fdata(), source.get_fdata())


def with_undefined(data):
    data = data.astype(np.float32)
    data[24:26, 30, 26:29] = np.nan
    return data


def with_four_values(data):
    limits = np.percentile(data[data > 0], [25, 50, 75])
    return np.where(data > 0, np.digitize(data, limits) + 1, 0).astype(np.int16)


@pytest.mark.parametrize(
    ("changed", "note"),
    [(with_undefined, "6 undefined voxels"), (with_four_values, None)],
    ids=["undefined voxels", "four values"],
)
def test_odd_intensities_are_harmonised(inside, scan, tmp_path, changed, note):
    image = nib.load(scan)
    data = changed(np.asarray(image.dataobj))
    nib.save(nib.Nifti1Image(data, image.affine), tmp_path / "s.nii")
    code, _, err = inside("harmonize", "s.nii", "-o", "out.nii", "-m", "identity", "--no-figure")
    assert code == 0, err
    assert ("undefined" in err) == (note is not None)
    assert note is None or note in " ".join(err.split())
    np.testing.assert_array_equal(nib.load(tmp_path / "out.nii").get_fdata(), data)
    record = json.loads((tmp_path / "out.json").read_text())["Harmonization"]
    assert record["VoxelsFilled"] == np.count_nonzero(np.isnan(data))


def test_any_file_name_is_kept(inside, scan, tmp_path):
    folder = tmp_path / "scans, 100 % & #1"
    folder.mkdir()
    names = ["50% & more #1; a+b=c", "Jörg Größe 100%s {x}"]
    for name in names:
        shutil.copy(scan, folder / f"{name}.nii.gz")
    arguments = ("harmonize", folder, "-o", "out #2 %", "-m", "identity")
    code, out, err = inside(*arguments, "--jobs", 1)
    assert code == 0, err
    assert out.startswith("2 scans: 2 harmonised")
    for name in names:
        for ending in (".nii.gz", ".json", "_mask.nii.gz", ".png"):
            assert (tmp_path / "out #2 %" / f"{name}{ending}").is_file()
        record = json.loads((tmp_path / "out #2 %" / f"{name}.json").read_text())
        assert record["Sources"] == [f"bids:raw:{name}.nii.gz"]
