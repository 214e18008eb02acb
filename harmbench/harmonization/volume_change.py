"""Harmonise a scan by a method that works on whole volumes, at the method's own resolution."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import torch

from harmbench.contracts.volume_method import HarmonizedVolume, VolumeMethod
from harmbench.data.volumes import Array, Frame, OpenVolume, VolumeScan
from harmbench.errors import BadScanError, ContractError, HarmbenchError, one_line
from harmbench.preprocessing.acquired_volume import AcquiredVolume
from harmbench.preprocessing.brain import Brain
from harmbench.preprocessing.nifti_read import Volume
from harmbench.util.resample import resample_inside
from harmbench.util.seeds import seeded

Mask = npt.NDArray[np.bool_]

_PERCENTILE = 99.5  # of the brain: the intensity that the result keeps


def volume_change(
    method: VolumeMethod,
    source: AcquiredVolume,
    volume: Volume,
    brain: Brain,
    *,
    subject: str,
    session: str,
    domain: str | None = None,
    covariates: Mapping[str, float | str] | None = None,
    seed: int,
) -> tuple[Array, Mask, list[str]]:
    """Harmonise a scan, and return the change on its own voxels.

    The result is scaled so that the brain's 99.5th percentile stays: contrast becomes the
    target's, the scale stays the scan's. A result in MNI152 is not resampled back as a whole;
    only its change is, so that the scan keeps its own detail.

    Parameters
    ----------
    method, source
        The method, and the scan on disk.
    volume, brain
        The scan as read, and its brain as the method receives it.
    subject, session
        Names of the scan.
    domain
        Its domain, for a method on all sites.
    covariates
        Its covariates by name, as far as the method declares them.
    seed
        Base seed of the method's random draws.

    Returns
    -------
    tuple
        `(X, Y, Z)` float32: the values to add; `(X, Y, Z)` bool: the voxels that the result
        covers; and the method's warnings.

    Raises
    ------
    BadScanError
        If the method fails.
    """
    opened = source.of(volume, brain, method.space)
    scan = VolumeScan(
        image=opened.image.copy(),
        mask=opened.mask.copy(),
        affine=opened.affine,
        subject=subject,
        session=session,
        domain=domain,
        covariates=covariates or {},
    )
    result = _harmonized(method, scan, seed)
    change = np.where(opened.mask, _scaled(result.image, opened) - opened.image, np.float32(0))
    inside = np.zeros(volume.data.shape, dtype=bool)
    inside[brain.box] = brain.mask
    if method.space.frame is Frame.TEMPLATE:
        to_mni = np.linalg.inv(np.array(source.registration.matrix)) @ volume.affine
        shape = volume.data.shape
        change, fraction = resample_inside(change, opened.mask, opened.affine, to_mni, shape)
        inside &= fraction >= 0.5
    change = np.where(inside, change, np.float32(0))
    return change, inside, [result.flag] if result.flag else []


def _harmonized(method: VolumeMethod, scan: VolumeScan, seed: int) -> HarmonizedVolume:
    """Apply the method; what fails in its own code becomes an error of the scan."""
    try:
        with torch.no_grad(), seeded(seed, "harmonize", scan.subject, scan.session):
            return method.eval().harmonized(scan)
    except Exception as error:
        if isinstance(error, HarmbenchError) and not isinstance(error, ContractError):
            raise
        raise BadScanError(f"{method.name} failed: {one_line(error)}") from error


def _scaled(image: Array, opened: OpenVolume) -> Array:
    before, after = (
        float(np.percentile(values[opened.mask], _PERCENTILE)) for values in (opened.image, image)
    )
    return image * np.float32(before / after) if after > 0 else image
