"""Brain extraction in a study, by small programs that stand for SynthStrip and HD-BET."""

from __future__ import annotations

import shutil
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from scipy import ndimage

from harmbench.cohorts.bids.source import Bids
from harmbench.data.cohort import TOOL_FAILURES, Cohort
from harmbench.data.prepare_options import PrepareOptions
from harmbench.data.scans import Grid
from harmbench.data.summary import domain_rows
from harmbench.errors import BadScanError, UserError
from harmbench.preprocessing.brain import crop_head
from harmbench.preprocessing.brain_tools import find_extractor
from harmbench.preprocessing.initial_pose import brain_pose
from harmbench.preprocessing.masking import BrainSource, _masked_content, load_masked
from harmbench.preprocessing.nifti_read import Volume, load_volume
from harmbench.preprocessing.registration_cache import cached_registration
from harmbench.util.hashing import bytes_digest, file_digest
from harmbench.util.progress import Silent
from helpers.brain_extraction import Tools, brain_of, head_of
from helpers.registrations import registration_name, reuse_registration
from helpers.volumes import coarse, template

GRID = Grid("tiny", (5, 18, 22), (12.0, 9.6, 9.6))


@pytest.fixture
def study(tree: Any) -> Any:
    """Two subjects in each domain; all scans are heads except the brain-extracted scan of B.

    The tools find the brain of B in every head, so its registration is stored for all.
    """
    image = coarse()
    paths = {
        subject: tree.add(subject, site, brain_of(image) if subject == "B" else head_of(image))
        for subject, site in (("A", "here"), ("B", "here"), ("C", "there"), ("D", "there"))
    }
    digests = {path: file_digest(path) for path in paths.values()}
    source = BrainSource.of(paths["B"], None, digests)
    scan = load_masked(source, tree.home)
    cached_registration(source.content, tree.home, scan.brain)
    folder = tree.home / "registrations"
    mask = bytes_digest(np.packbits(scan.volume.data > 0).tobytes())
    for subject in "ACD":
        content = _masked_content(digests[paths[subject]], mask)
        registered = folder / registration_name(source.content)
        shutil.copyfile(registered, folder / registration_name(content))
    return tree


def opened(
    study: Any, prepare_options: PrepareOptions | None = None, *, retry: bool = False
) -> Cohort:
    source = Bids(
        str(study.root), study.recipe, prepare_options=prepare_options or PrepareOptions()
    )
    return Cohort.open(source, GRID, study.home, Silent(), retry=retry)


def details(cohort: Cohort) -> dict[str, Any]:
    return dict(zip(cohort.table["subject"], cohort.table["details"], strict=True))


@pytest.mark.usefixtures("one_core")
def test_heads_are_extracted_once_by_the_tool_that_is_there(study: Any, tools: Tools) -> None:
    tools.install("mri_synthstrip")
    cohort = opened(study)
    assert not cohort.left_out
    how = {subject: row["brain_extraction"] for subject, row in details(cohort).items()}
    assert how["B"] == "none: it was brain-extracted"
    assert how["A"] == how["C"] == how["D"] == find_extractor("auto").title  # type: ignore[union-attr]
    # Each head once, and only the brain is processed further.
    assert len(tools.called) == 3
    assert all(
        row["brain_litres"] == details(cohort)["B"]["brain_litres"]
        for row in details(cohort).values()
    )
    scans = cohort.scans("here").load([0, 1])
    assert torch.equal(scans.images[0], scans.images[1])
    assert any("mri_synthstrip" in text for text in domain_rows(cohort)["brain extraction"])

    other = opened(study, PrepareOptions(n4=True))
    assert len(tools.called) == 3
    assert other.key != cohort.key
    assert other.name == "bids:tiny+n4"
    assert all(
        row["bias_correction"].startswith("N4, SimpleITK") for row in details(other).values()
    )
    assert not set(other.table["key"]) & set(cohort.table["key"])


@pytest.mark.usefixtures("one_core")
def test_masks_are_cut_by_hd_bet_as_by_synthstrip(study: Any, tools: Tools) -> None:
    tools.install("hd-bet")
    first = opened(study)
    call = tools.called[0]
    assert "--save_bet_mask --no_bet_image" in call
    assert ("-device cpu --disable_tta" in call) is not torch.cuda.is_available()
    tools.install("mri_synthstrip")
    second = opened(study)  # it goes before the other
    assert second.key != first.key
    assert len(tools.called) == 6
    assert list(second.table["key"]) == list(first.table["key"])  # the same mask, bit for bit


@pytest.mark.usefixtures("one_core")
def test_without_a_tool_one_error_names_the_options(study: Any, tools: Tools) -> None:
    tools.install("hd-bet")
    study.add("E", "here", head_of(coarse()))
    with pytest.raises(UserError) as caught:
        opened(study, PrepareOptions("none"))
    line = str(caught.value)
    assert "sub-A_T1w.nii.gz is a head (" in line
    assert line.count("leave out --brain-extraction none") == 1
    assert line.count("; ") == 2
    assert "and 1 more like it" in line
    with pytest.raises(UserError, match="no program 'mri_synthstrip' is on the PATH"):
        opened(study, PrepareOptions("mri_synthstrip"))
    assert not tools.called


@pytest.mark.usefixtures("one_core")
def test_the_scan_of_a_failed_tool_is_left_out_until_it_works(study: Any, tools: Tools) -> None:
    for subject in ("C", "D"):
        study.add(subject, "there")  # brains that are extracted already
    study.add("E", "here")
    tools.install_failing("mri_synthstrip")
    cohort = opened(study)
    (reason,) = cohort.left_out.values()
    assert reason.startswith("mri_synthstrip ")
    assert "failed on sub-A_T1w.nii.gz (exit code 1): no space" in reason
    assert not list((study.home / "masks").glob("*.nii.gz"))
    assert cohort.facts[TOOL_FAILURES] == ["sub-A/anat/sub-A_T1w.nii.gz"]

    tools.repair()
    assert opened(study).key == cohort.key  # only `data prepare` tries again
    again = opened(study, retry=True)
    assert not again.left_out
    assert again.key != cohort.key
    assert again.directory == cohort.directory
    assert len(tools.called) == 1
    assert opened(study, retry=True).key == again.key
    assert len(tools.called) == 1


def test_deepbet_is_the_tool_where_no_program_is_installed(tools: Tools) -> None:
    deepbet = find_extractor("deepbet")
    assert deepbet is not None
    assert deepbet.title == f"deepbet {version('deepbet')}"
    assert find_extractor("auto") == deepbet
    tools.install("hd-bet")
    assert find_extractor("auto") == find_extractor("hd-bet") != deepbet
    assert find_extractor("deepbet") == deepbet
    assert find_extractor("none") is None


def test_the_version_is_that_of_freesurfer_or_of_the_package(tmp_path: Path, tools: Tools) -> None:
    tools.install("mri_synthstrip")
    digest = find_extractor("mri_synthstrip")
    assert digest is not None
    assert digest.version == file_digest(tools.folder / "mri_synthstrip")[:8]
    other = tmp_path / "freesurfer" / "bin" / "mri_synthstrip"
    other.parent.mkdir(parents=True)
    other.write_bytes((tools.folder / "mri_synthstrip").read_bytes())
    (tmp_path / "freesurfer" / "build-stamp.txt").write_text("freesurfer-7.4.1\n")
    (tools.folder / "mri_synthstrip").unlink()
    (tools.folder / "mri_synthstrip").symlink_to(other)
    other.chmod(0o755)
    assert find_extractor("auto") is not None
    from harmbench.preprocessing import brain_tools as extraction

    extraction._program_version.cache_clear()
    result = find_extractor("auto")
    assert result is not None
    assert result.title == "mri_synthstrip freesurfer-7.4.1"


def test_a_python_that_hangs_leaves_the_version_to_the_content(
    tmp_path: Path, tools: Tools, monkeypatch: pytest.MonkeyPatch
) -> None:
    from harmbench.preprocessing import brain_tools as extraction

    monkeypatch.setattr(extraction, "_VERSION_SECONDS", 0.5)
    interpreter = tmp_path / "python"
    interpreter.write_text("#!/bin/sh\nexec sleep 20\n")
    interpreter.chmod(0o755)
    tools.install("hd-bet", f"#!{interpreter}\n")
    extraction._program_version.cache_clear()
    began = time.monotonic()
    found = find_extractor("hd-bet")
    assert time.monotonic() - began < 10
    assert found is not None
    assert found.version == file_digest(tools.folder / "hd-bet")[:8]


@pytest.mark.usefixtures("one_core")
def test_heads_that_are_kept_keep_all_that_is_not_air(tools: Tools, tree: Any, head: Any) -> None:
    tools.install("mri_synthstrip")
    for subject, site in (("A", "here"), ("B", "here"), ("C", "there"), ("D", "there")):
        reuse_registration(tree.home, tree.add(subject, site, head), heads=True)
    cohort = opened(tree, PrepareOptions(heads=True))
    assert not cohort.left_out
    assert not tools.called
    assert cohort.name == "bids:tiny+heads"
    row = details(cohort)["A"]
    assert row["brain_extraction"] == "none: the head was kept"
    assert 3 < row["head_litres"] < 7
    assert not row["doubtful"]
    # It lies where the template does, from which it was made.
    matrix = np.array(row["mni_to_scan"])
    corners = np.array([[x, y, z, 1] for x in (-50, 50) for y in (-80, 40) for z in (-20, 60)])
    assert np.linalg.norm((corners @ matrix.T - corners)[:, :3], axis=1).max() < 4
    masks = cohort.scans("here").load([0]).masks
    assert masks[0, 2].float().mean() > 0.6  # a head fills the grid's middle slice


def test_contradictory_options_are_refused() -> None:
    with pytest.raises(UserError, match="no brain to extract"):
        PrepareOptions("hd-bet", heads=True)
    with pytest.raises(UserError, match="did you mean 'hd-bet'"):
        PrepareOptions("hdbet")


def test_the_foreground_is_the_head_without_holes_or_air(tmp_path: Path, head: Any) -> None:
    nib.save(head, tmp_path / "head.nii")
    volume = load_volume(tmp_path / "head.nii")
    cut = crop_head(volume, "head.nii")
    whole = np.zeros(volume.data.shape, bool)
    whole[cut.box] = cut.mask
    bright = np.percentile(volume.data, 99)
    assert whole[volume.data > 0.4 * bright].mean() > 0.999
    assert not whole[:, :, -1].any()  # air above the crown
    middle = whole[:, :, 52]
    assert np.array_equal(ndimage.binary_fill_holes(middle), middle)
    empty = Volume(np.zeros((9, 9, 9), np.float32), np.eye(4))
    with pytest.raises(BadScanError, match="is empty"):
        crop_head(empty, "empty.nii")
    speck = np.zeros((30, 30, 30), np.float32)
    speck[10:15, 10:15, 10:15] = 1
    with pytest.raises(BadScanError, match="contains no head"):
        crop_head(Volume(speck, np.eye(4)), "speck.nii")


def test_a_brain_is_found_in_its_head(head: Any) -> None:
    data, affine = template()
    reference = Volume(data[::3, ::3, ::3], affine @ np.diag([3.0, 3.0, 3.0, 1.0]))
    volume = Volume(np.asarray(head.dataobj), head.affine)
    mask = volume.data > 0.2 * volume.data.max()
    pose = brain_pose(volume, mask, reference, (0.0, -20.0, 12.0))
    corners = np.array([[x, y, z, 1] for x in (-50, 50) for y in (-80, 40) for z in (-20, 60)])
    assert np.linalg.norm((corners @ pose.T - corners)[:, :3], axis=1).max() < 25
