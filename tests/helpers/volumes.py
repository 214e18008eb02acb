"""Small NIfTI files and BIDS trees, made of the template's brain."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from nilearn.datasets import load_mni152_template
from scipy import ndimage

from harmbench.preprocessing.nifti_read import Volume
from helpers.registrations import reuse_registration

RECIPE = """
name = "tiny"
target = "here"
[domains.here]
participants = { site = "here" }
sidecar = { MagneticFieldStrength = [1.5, 1.494] }
[domains.there]
participants = { site = "there" }
[labels]
derivative = "tissue"
suffix = "dseg"
csf = [1, 4]
grey_matter = 2
white_matter = 3
[split]
validation = 0
test = 0.5
"""


@lru_cache(maxsize=1)
def template() -> tuple[np.ndarray, np.ndarray]:
    image = load_mni152_template(resolution=1)
    return np.asarray(image.dataobj, dtype=np.float32), image.affine


def sampled(to_mni: np.ndarray, affine: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
    """The template as a scanner sees it: `to_mni` brings the scanner's mm to MNI152."""
    data, mni = template()
    matrix = np.linalg.inv(mni) @ to_mni @ affine
    result = ndimage.affine_transform(
        data, matrix[:3, :3], matrix[:3, 3], output_shape=shape, order=1
    )
    return np.where(result > 0.05, result, 0)


@lru_cache(maxsize=4)
def coarse(pitch: float = 0.0) -> nib.Nifti1Image:
    """The template at 4 mm, in LAS orientation, turned about the axis from left to right."""
    affine = np.diag([-4.0, 4.0, 4.0, 1.0])
    affine[:3, 3] = [98, -136, -90]
    c, s = np.cos(np.radians(pitch)), np.sin(np.radians(pitch))
    turn = np.array([[1, 0, 0, 0], [0, c, -s, 0], [0, s, c, 0], [0, 0, 0, 1.0]])
    return nib.Nifti1Image(sampled(turn, affine, (50, 62, 54)), affine)


def labelled(image: nib.Nifti1Image) -> nib.Nifti1Image:
    data = np.digitize(np.asarray(image.dataobj), [0.05, 0.55, 0.8]).astype(np.uint8)
    return nib.Nifti1Image(data, image.affine)


class Tree:
    """A BIDS folder under construction, with a recipe and a home folder next to it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.home = root.parent / "home"
        self.sites: dict[str, str] = {}
        self.recipe = root.parent / "tiny.toml"
        self.recipe.write_text(RECIPE)
        (root / "derivatives" / "tissue").mkdir(parents=True)

    def add(
        self,
        subject: str,
        site: str,
        image: Any = None,
        *,
        session: str | None = None,
        run: int | None = None,
        labels: Any = None,
        field: float | None = 1.5,
    ) -> Path:
        self.sites[subject] = site
        rows = [f"sub-{name}\t{value}\n" for name, value in self.sites.items()]
        (self.root / "participants.tsv").write_text("participant_id\tsite\n" + "".join(rows))
        anat = Path(f"sub-{subject}", *([f"ses-{session}"] if session else []), "anat")
        stem = f"sub-{subject}_" + (f"ses-{session}_" if session else "")
        stem += f"run-{run}_" if run else ""
        path = self.root / anat / f"{stem}T1w.nii.gz"
        path.parent.mkdir(parents=True, exist_ok=True)
        save_as_file_of(stem, coarse() if image is None else image, path)
        if image is None and (self.home / "registrations").exists():
            reuse_registration(self.home, path)
        if field is not None:
            sidecar = path.with_name(f"{stem}T1w.json")
            sidecar.write_text(json.dumps({"MagneticFieldStrength": field}))
        if labels is not None:
            folder = self.root / "derivatives" / "tissue" / anat
            folder.mkdir(parents=True, exist_ok=True)
            nib.save(labels, folder / f"{stem}dseg.nii.gz")
        return path


def save_as_file_of(name: str, image: nib.Nifti1Image, path: Path) -> None:
    """Save an image with a name in its header, so that no other file has the same bytes."""
    named = nib.Nifti1Image(np.asarray(image.dataobj), image.affine, image.header)
    named.header["descrip"] = name
    nib.save(named, path)


def volume_of(image: nib.Nifti1Image) -> Volume:
    """Return an image as `load_volume` reads it from a file."""
    image = nib.as_closest_canonical(image)
    return Volume(np.asarray(image.dataobj, dtype=np.float32), image.affine)
