"""Scans to harmonise, with a home that shares the registrations of all tests."""

from __future__ import annotations

import gzip
import json
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from nilearn.datasets import load_mni152_template

from helpers.registrations import reuse_registration, share_registrations

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


@pytest.fixture(scope="session")
def known(tmp_path_factory):
    """The scans of these tests."""
    folder = tmp_path_factory.mktemp("scans")
    for name, scale in (("a", 1.0), ("b", 1.5), ("c", 2.0)):
        nib.save(brain(scale), folder / f"{name}.nii.gz")
    return folder


@pytest.fixture
def scan(known, tmp_path, registrations):
    """A scan in the test's own folder, next to a home that has its registration."""
    share_registrations(registrations, tmp_path / "home")
    (tmp_path / "left.py").write_text(LEFT)
    path = Path(shutil.copy(known / "a.nii.gz", tmp_path / "scan.nii.gz"))
    reuse_registration(tmp_path / "home", path, image="4 mm")
    return path


@pytest.fixture
def study(scan, known, tmp_path):
    """A BIDS tree of three subjects."""
    for subject in "abc":
        folder = tmp_path / "study" / f"sub-{subject}" / "anat"
        folder.mkdir(parents=True)
        path = Path(shutil.copy(known / f"{subject}.nii.gz", folder / f"sub-{subject}_T1w.nii.gz"))
        reuse_registration(tmp_path / "home", path, image="4 mm")
    return tmp_path / "study"


def voxels(path):
    """The uncompressed bytes of an output."""
    return gzip.decompress(path.read_bytes())


def record(path):
    """What a sidecar says about the harmonisation."""
    return json.loads(path.read_text())["Harmonization"]
