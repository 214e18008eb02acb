"""The MNI152 tissue maps that come inside nilearn, which all subjects are deformed from."""

from __future__ import annotations

import functools
import importlib.util
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from harmbench.errors import UserError
from harmbench.util.hashing import digest, file_digest

# Of the brain's surface, in mm, as stored in a byte: 0.1 mm steps from -12.7 to 12.8.
_STEP, _ZERO = 0.1, 127
FAR = 12.0  # mm from the surface beyond which the distance does not matter


@dataclass(frozen=True, eq=False)
class TissueTemplate:
    """The MNI152 average.

    Attributes
    ----------
    maps
        `(4, Z, X, Y)` uint8 at 1 mm: probabilities of CSF, GM and WM in 1/255, and the
        distance to the brain's surface, of which `depth` makes mm.
    origin
        MNI152 z, x and y in mm of the first voxel.
    """

    maps: npt.NDArray[np.uint8]
    origin: tuple[float, float, float]


def depth(stored: Tensor) -> Tensor:
    """Return the distance to the brain's surface in mm, positive inside, of stored values."""
    return (stored - _ZERO) * _STEP


@functools.cache
def load_template() -> TissueTemplate:
    """Read the ICBM 2009a maps that nilearn ships (no download); kept, 35 MB.

    The first call is slow: nilearn is imported.
    """
    from nilearn import datasets

    images = [
        load(resolution=1)
        for load in (datasets.load_mni152_gm_template, datasets.load_mni152_wm_template)
    ]
    brain_image = datasets.load_mni152_brain_mask(resolution=1)
    grey, white, brain = (
        torch.from_numpy(np.asarray(image.dataobj, dtype=np.float32).transpose(2, 0, 1).copy())
        for image in (*images, brain_image)
    )
    csf = (brain - grey - white).clamp(min=0)
    tissues = (torch.stack([csf, grey, white]) * 255).round().byte()
    distance = (_distance(brain) / _STEP + _ZERO).round().clamp(0, 255).byte()
    x, y, z = brain_image.affine[:3, 3]
    return TissueTemplate(
        torch.cat([tissues, distance[None]]).numpy(), (float(z), float(x), float(y))
    )


def _distance(brain: Tensor) -> Tensor:
    """Return the signed distance in mm of a `(Z, X, Y)` mask at 1 mm, positive inside."""
    from scipy import ndimage

    # At 2 mm, where it takes a tenth of the time; beyond the mask's box it is far.
    half = F.avg_pool3d(brain[None, None], 2, ceil_mode=True)[0, 0]
    inside = (half > 0.5).numpy()
    margin = round(FAR / 2)
    low = [int(np.flatnonzero(inside.any(axis=others))[0]) for others in ((1, 2), (0, 2), (0, 1))]
    high = [int(np.flatnonzero(inside.any(axis=others))[-1]) for others in ((1, 2), (0, 2), (0, 1))]
    box = tuple(
        slice(max(0, first - margin), last + margin + 1)
        for first, last in zip(low, high, strict=True)
    )
    signed = np.full(inside.shape, -FAR, np.float32)
    part = inside[box]
    signed[box] = ndimage.distance_transform_edt(part, 2.0)
    signed[box] -= ndimage.distance_transform_edt(~part, 2.0)
    # Rounded over 6 mm, since voxels of 2 mm make steps.
    smooth = F.avg_pool3d(torch.from_numpy(signed)[None, None], 3, stride=1, padding=1)
    size = [2 * count for count in half.shape]
    fine = F.interpolate(smooth, size=size, mode="trilinear", align_corners=False)[0, 0]
    return fine[: brain.shape[0], : brain.shape[1], : brain.shape[2]]


@functools.cache
def template_key() -> str:
    """Hash the files that `load_template` reads, without importing nilearn.

    Raises
    ------
    UserError
        If the installed nilearn has no such files.
    """
    spec = importlib.util.find_spec("nilearn")
    folders = () if spec is None else spec.submodule_search_locations or ()
    files = sorted(
        path
        for folder in folders
        for path in Path(folder, "datasets", "data").glob("mni_icbm152_*.nii.gz")
    )
    if not files:
        raise UserError(
            "the phantom finds no MNI152 maps in the installed nilearn; reinstall nilearn"
        )
    return digest("template", {path.name: file_digest(path) for path in files})
