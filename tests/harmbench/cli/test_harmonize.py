"""`harmbench harmonize`: the output is in the space of the scan, changed in the brain only."""

from __future__ import annotations

import gzip
import json
import shutil

import nibabel as nib
import numpy as np
import pytest
from matplotlib import image
from scipy import ndimage

from harmbench.util.hashing import file_digest
from helpers import words
from helpers.harmonizing import record, voxels


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
        data[::2, ::2, ::2] = np.nan
    nib.save(nib.Nifti1Image(data, source.affine), path)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("truncated", "scan.nii.gz is truncated"),
        ("dicom", "dcm2niix"),
        ("4-D", "scan.nii.gz has shape (50, 59, 48, 2); one 3-D volume is needed"),
        ("empty", "scan.nii.gz is empty: no voxel differs from the background"),
        ("NaN", "scan.nii.gz has undefined voxels (NaN or infinity) in "),
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
