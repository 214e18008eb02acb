"""Where the brain is in a head, roughly: a search over poses, for registration to begin at."""

from __future__ import annotations

from itertools import product

import numpy as np
import numpy.typing as npt

from harmbench.preprocessing.nifti_read import Affine, Volume

_BELOW_CROWN = 80.0  # mm, of an adult brain's centre
_EVERY = 50  # of so many voxels of a head one is looked at to find its crown
_STEP = 3  # of so many voxels of the template along each axis one is compared
_SIGMA = 5.0  # mm, of the smoothing that makes up for the steps between poses

# Adult brains are smaller than the template's; heads nod more than they turn.
_SCALES = (0.85, 0.93, 1.01)
_PITCHES = (-24, -12, 0, 12, 24)  # degrees
_SHIFTS = range(-30, 31, 10)  # mm, to the front and up


def brain_pose(
    head: Volume, mask: npt.NDArray[np.bool_], template: Volume, centre: tuple[float, float, float]
) -> Affine:
    """Find the pose in which the template's brain is most like what it covers of a head.

    Like is by Pearson's correlation inside the brain: the outlines of brain and head, which
    would mislead, have no part in it.

    Parameters
    ----------
    head, mask
        The head on an upright lattice, with air around it, and its mask.
    template, centre
        The template's brain, zero outside; and its centre in mm.

    Returns
    -------
    numpy.ndarray
        `(4, 4)`, a similarity: from the template's millimetres to the head's.
    """
    from scipy import ndimage

    sigma = [_SIGMA / size for size in head.voxel_size]
    smooth = ndimage.gaussian_filter(head.data, sigma)
    sigma = [_SIGMA / size for size in template.voxel_size]
    thinned = np.zeros(template.data.shape, dtype=bool)
    thinned[::_STEP, ::_STEP, ::_STEP] = True
    indices = np.argwhere(thinned & (template.data > 0))
    points = indices @ template.affine[:3, :3].T + template.affine[:3, 3] - centre
    known = ndimage.gaussian_filter(template.data, sigma)[tuple(indices.T)]
    to_voxels = np.linalg.inv(head.affine)
    guess = _guess(head, mask)

    def likeness(turn: Affine, place: npt.NDArray[np.float64]) -> float:
        there = to_voxels[:3, :3] @ (turn @ points.T + place[:, None]) + to_voxels[:3, 3:]
        found = ndimage.map_coordinates(smooth, there, order=1, mode="constant")
        return float(np.corrcoef(found, known)[0, 1]) if found.std() > 0 else -1.0

    poses = [
        (scale * _pitch(degrees), guess + np.array([0, front, up]))
        for scale, degrees, front, up in product(_SCALES, _PITCHES, _SHIFTS, _SHIFTS)
    ]
    turn, place = max(poses, key=lambda pose: likeness(*pose))
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = turn, place - turn @ centre
    return matrix


def _guess(head: Volume, mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    """Guess the brain's centre in mm by the crown: how much neck a scan shows, nobody knows."""
    points = np.argwhere(mask)[::_EVERY] @ head.affine[:3, :3].T + head.affine[:3, 3]
    crown = np.percentile(points[:, 2], 99.9)
    part = points[points[:, 2] > crown - 2 * _BELOW_CROWN]
    return np.array([*part[:, :2].mean(axis=0), crown - _BELOW_CROWN])


def _pitch(degrees: float) -> Affine:
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[1, 0, 0], [0, c, -s], [0, s, c]])
