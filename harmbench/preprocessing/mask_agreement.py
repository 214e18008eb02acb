"""Registration of a masked scan, with a check of its mask against the template."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from harmbench.errors import BadScanError
from harmbench.preprocessing.brain import Brain
from harmbench.preprocessing.masking import MaskedScan
from harmbench.preprocessing.nifti_read import Affine
from harmbench.preprocessing.registration import Registration
from harmbench.preprocessing.registration_cache import cached_registration
from harmbench.preprocessing.undefined_voxels import undefined_border

_STEP = 3  # mm, of the lattice on which masks are compared with the template
_MARGIN = 60  # mm around the template's image, so that a neck in the mask lies inside
_DEPTH = 9.0  # mm: registered masks of healthy brains differ less from the template's

# 48 real brains have a Dice of 0.92 to 0.97; at most 0.5 % of their masks lie beyond the depth,
# and nothing is missing below it. A mask without a temporal lobe misses 3 %, one without the
# cerebellum 4 to 5 %; one with the middle of the face has 7 % beyond. A mask that is stored
# upside down has a Dice of 0.80, one without every second slab 0.64.
_DOUBTFUL_DICE, _MIN_DICE = 0.9, 0.82
_DOUBTFUL_SHARE, _MAX_SHARE = 0.01, 0.1


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """Agreement of a registered brain mask with the template's.

    Attributes
    ----------
    dice
        Dice coefficient of the two masks.
    beyond
        Share of the mask that lies more than 9 mm outside the template's brain.
    missing
        Share of the template's brain that lies deeper than 9 mm and outside the mask.
    """

    dice: float
    beyond: float
    missing: float


def agreement(brain: Brain, registration: Registration) -> Agreement:
    """Compare the mask of a brain with the template's, after registration."""
    from scipy import ndimage

    depth, affine = _template_depth()
    matrix = np.linalg.inv(brain.image.affine) @ np.array(registration.matrix) @ affine
    # The nearest voxel is enough to count.
    mask = ndimage.affine_transform(
        brain.mask.astype(np.uint8),
        matrix[:3, :3],
        matrix[:3, 3],
        output_shape=depth.shape,
        order=0,
    ).astype(bool)
    template = depth > 0
    size, template_size = max(int(mask.sum()), 1), int(template.sum())
    return Agreement(
        dice=2 * int((mask & template).sum()) / (size + template_size),
        beyond=int((mask & (depth < -_DEPTH)).sum()) / size,
        missing=int((~mask & (depth > _DEPTH)).sum()) / template_size,
    )


def _doubts(found: Agreement) -> list[str]:
    """Return reasons to inspect the mask."""
    doubts = []
    if found.beyond > _DOUBTFUL_SHARE:
        doubts.append(
            f"{found.beyond:.0%} of the brain mask are more than {_DEPTH:.0f} mm outside the brain"
        )
    if found.missing > _DOUBTFUL_SHARE:
        doubts.append(f"the brain mask misses {found.missing:.0%} of the inner brain")
    if found.dice < _DOUBTFUL_DICE:
        doubts.append(f"Dice of the brain mask with the template's is low ({found.dice:.2f})")
    return doubts


def _is_impossible(found: Agreement) -> bool:
    return found.dice < _MIN_DICE or max(found.beyond, found.missing) > _MAX_SHARE


@lru_cache(maxsize=1)
def _template_depth() -> tuple[npt.NDArray[np.float32], Affine]:
    """Return the depth in mm below the surface of the template's brain, and its affine.

    The depth is negative outside the brain.
    """
    from nilearn.datasets import load_mni152_template
    from scipy import ndimage

    image = load_mni152_template(resolution=1)
    margin = _MARGIN // _STEP
    brain = np.asarray(image.dataobj)[::_STEP, ::_STEP, ::_STEP] > 0
    mask = np.pad(ndimage.binary_fill_holes(brain), margin)
    affine = image.affine @ np.diag([_STEP, _STEP, _STEP, 1.0])
    affine[:3, 3] = (affine @ [-margin, -margin, -margin, 1])[:3]
    inside, outside = (
        ndimage.distance_transform_edt(part, sampling=_STEP) for part in (mask, ~mask)
    )
    return (inside - outside).astype(np.float32), affine


@dataclass(frozen=True, kw_only=True)
class CheckedRegistration:
    """The registration of a masked scan, and the checks of its mask.

    Attributes
    ----------
    registration
        From MNI152 to the scan.
    agreement
        Agreement of the brain mask with the template; None where the head is kept.
    doubts
        Reasons to inspect the brain mask.
    """

    registration: Registration
    agreement: Agreement | None
    doubts: tuple[str, ...]


def register_checked(scan: MaskedScan, name: str, home: Path) -> CheckedRegistration:
    """Register a masked scan to the template, and check its mask: step 3.

    If the mask is wrong, a tool's mask is removed from the cache.

    Parameters
    ----------
    scan, name
        The scan, and its name for messages.
    home
        The folder that caches registrations and masks.

    Raises
    ------
    BadScanError
        As `register`, and if the mask cannot be of a brain.
    """
    border = undefined_border(scan.volume) if scan.stripped else None
    try:
        registration = cached_registration(scan.content, home, scan.brain)
        if scan.head:
            return CheckedRegistration(registration=registration, agreement=None, doubts=())
        found = agreement(scan.brain, registration)
        if _is_impossible(found):
            fix = "check the mask" if scan.cached is None else "give a brain mask"
            raise BadScanError(
                f"the brain mask of {name} ({scan.extraction}) does not match the template: "
                f"{'; '.join(_doubts(found))}; {fix}"
            )
    except BadScanError as error:
        if scan.cached is not None:
            scan.cached.unlink(missing_ok=True)
        if border is not None:
            raise BadScanError(
                f"{name} does not match the template: {border}; export the scan again"
            ) from error
        raise
    doubts = (*scan.doubts, *_doubts(found), *([] if border is None else [border]))
    return CheckedRegistration(registration=registration, agreement=found, doubts=doubts)
