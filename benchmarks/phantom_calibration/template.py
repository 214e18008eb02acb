"""The MNI152 template on the grid of the calibration."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from harmbench.data.scans import Grid
from harmbench.preprocessing.nifti_read import Array
from harmbench.util.resample import resample

# The whole brain at the paper's resolution. Real scans are resampled to it by the affine
# registration, phantom scans are rendered on it.
GRID = Grid("calibration", (132, 124, 154), (1.2, 1.2, 1.2), (0.0, -17.0, 6.0))

_INSIDE = 6.0  # mm below the surface of the template's brain: where fields are compared
_PRIOR_WIDTH = 8.0  # mm, FWHM: subjects differ from the template after an affine registration
_PRIOR_FLOOR = 0.02


@lru_cache(maxsize=1)
def _maps() -> tuple[Array, Array, Array]:
    """Return grey matter, white matter and brain of MNI152 on `GRID`, in [0, 1]."""
    from nilearn import datasets

    images = (
        datasets.load_mni152_gm_template(resolution=1),
        datasets.load_mni152_wm_template(resolution=1),
        datasets.load_mni152_brain_mask(resolution=1),
    )
    grey, white, brain = (
        resample(
            np.asarray(image.dataobj, dtype=np.float32),
            image.affine,
            GRID.affine,
            GRID.shape,
        )
        for image in images
    )
    return grey, white, brain


def inside_brain() -> npt.NDArray[np.bool_]:
    """Return the voxels more than 6 mm inside the template's brain: `(S, H, W)`."""
    depth = ndimage.distance_transform_edt(_maps()[2] >= 0.5, GRID.spacing)
    inside: npt.NDArray[np.bool_] = depth > _INSIDE
    return inside


@lru_cache(maxsize=1)
def tissue_priors() -> Array:
    """Return the prior probability of CSF, grey and white matter: `(3, S, H, W)`, summing to 1.

    The template's maps blurred by 8 mm, with a floor of 0.02; outside its brain CSF.
    """
    grey, white, _ = _maps()
    sigma = [_PRIOR_WIDTH / 2.3548 / size for size in GRID.spacing]
    grey, white = (ndimage.gaussian_filter(tissue, sigma) for tissue in (grey, white))
    priors = np.stack([(1 - grey - white).clip(min=0), grey, white]) + _PRIOR_FLOOR
    result: Array = (priors / priors.sum(axis=0)).astype(np.float32)
    return result
