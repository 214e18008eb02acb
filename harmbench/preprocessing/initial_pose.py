"""Approximate pose of a brain by a search over poses: the start of registration."""

from __future__ import annotations

from itertools import product

import numpy as np
import numpy.typing as npt

from harmbench.preprocessing.nifti_read import Affine, Array, Volume

_CENTRE_BELOW_CROWN = 80.0  # mm, in an adult
_HEAD_STRIDE = 50  # every 50th voxel of a head is used to find its crown
_TEMPLATE_STRIDE = 3  # every third voxel of the template along each axis is compared
_SIGMA = 5.0  # mm; smoothing that compensates for the steps between poses

# Adult brains are smaller than the template's; heads pitch more than they yaw or roll.
_SCALES = (0.85, 0.93, 1.01)
_PITCHES = (-24, -12, 0, 12, 24)  # degrees
_SHIFTS = range(-30, 31, 10)  # mm, anterior and superior

# Optimisation converges from at least 20 degrees on either side of each pose, so together
# they reach 60 degrees. A brain that is turned further has a wrong header; to turn it by 180
# degrees could exchange left and right.
_ROTATIONS = (-40, -20, 0, 20, 40)  # degrees, pitch, roll and yaw of a brain
_BRAIN_SIGMA = 8.0  # mm
_DISTINCT = 30.0  # degrees between two poses that are worth a try each


def brain_pose(
    head: Volume, mask: npt.NDArray[np.bool_], template: Volume, centre: tuple[float, float, float]
) -> Affine:
    """Find the pose in which the template's brain correlates best with the head below it.

    Pearson's correlation is taken inside the brain only, because the outlines of brain and
    head would mislead it.

    Parameters
    ----------
    head, mask
        The head on an axis-aligned lattice, with air around it, and its mask.
    template, centre
        The template's brain, zero outside; and its centre in mm.

    Returns
    -------
    numpy.ndarray
        `(4, 4)`, a similarity: from the template's millimetres to the head's.
    """
    comparison = _Comparison(head, template, centre, template.data > 0, _SIGMA)
    initial = _approximate_centre(head, mask)
    poses = [
        (scale * _pitch(degrees), initial + np.array([0, front, up]))
        for scale, degrees, front, up in product(_SCALES, _PITCHES, _SHIFTS, _SHIFTS)
    ]
    rotation, head_centre = max(poses, key=lambda pose: comparison.correlation(*pose))
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = rotation, head_centre - rotation @ centre
    return matrix


def brain_rotations(
    brain: Volume,
    brain_centre: npt.NDArray[np.float64],
    scale: float,
    template: Volume,
    centre: tuple[float, float, float],
) -> list[Affine]:
    """Find the rotations with which the template's brain correlates best with a brain.

    Parameters
    ----------
    brain, brain_centre, scale
        A brain on an axis-aligned lattice, with background around it; its centre in mm; and
        its size relative to the template.
    template, centre
        The template's brain, zero outside; and its centre in mm.

    Returns
    -------
    list of numpy.ndarray
        `(3, 3)` rotations with a positive correlation, best first, at least 30 degrees apart.
    """
    from scipy import ndimage
    from scipy.spatial.transform import Rotation

    # Unlike a head, a brain has its own outline: compare it, too.
    outline = ndimage.binary_dilation(template.data > 0, iterations=2)
    comparison = _Comparison(brain, template, centre, outline, _BRAIN_SIGMA)
    rotations = [
        Rotation.from_euler("xyz", angles, degrees=True) for angles in product(_ROTATIONS, repeat=3)
    ]
    correlations = [
        comparison.correlation(scale * rotation.as_matrix(), brain_centre) for rotation in rotations
    ]
    chosen: list[Rotation] = []
    for index in np.argsort(correlations)[::-1]:
        rotation = rotations[index]
        apart = [np.degrees((other.inv() * rotation).magnitude()) for other in chosen]
        if correlations[index] > 0 and all(angle >= _DISTINCT for angle in apart):
            chosen.append(rotation)
    return [rotation.as_matrix() for rotation in chosen]


class _Comparison:
    """Correlation of a smoothed template, moved to a pose, with a smoothed volume below it.

    Parameters
    ----------
    volume, template
        Each on its own axis-aligned lattice.
    centre
        In mm of the template: the point that poses turn about.
    inside
        `(X, Y, Z)` bool: the voxels of the template to compare.
    sigma
        Of the smoothing, in mm.
    """

    def __init__(
        self,
        volume: Volume,
        template: Volume,
        centre: tuple[float, float, float],
        inside: npt.NDArray[np.bool_],
        sigma: float,
    ) -> None:
        stride = slice(None, None, _TEMPLATE_STRIDE)
        thinned = np.zeros(template.data.shape, dtype=bool)
        thinned[stride, stride, stride] = True
        indices = np.argwhere(thinned & inside)
        self._points = indices @ template.affine[:3, :3].T + template.affine[:3, 3] - centre
        self._template = _smoothed(template, sigma)[tuple(indices.T)]
        self._volume = _smoothed(volume, sigma)
        self._to_voxels = np.linalg.inv(volume.affine)

    def correlation(self, linear: Affine, centre: npt.NDArray[np.float64]) -> float:
        """Return Pearson's correlation; -1 where the volume is constant.

        Parameters
        ----------
        linear
            `(3, 3)`: rotation and scale of the pose.
        centre
            In mm of the volume: where the template's centre comes to lie.
        """
        from scipy import ndimage

        positions = linear @ self._points.T + centre[:, None]
        voxels = self._to_voxels[:3, :3] @ positions + self._to_voxels[:3, 3:]
        values = ndimage.map_coordinates(self._volume, voxels, order=1, mode="constant")
        return float(np.corrcoef(values, self._template)[0, 1]) if values.std() > 0 else -1.0


def _smoothed(volume: Volume, sigma: float) -> Array:
    """Smooth by a Gaussian of `sigma` mm."""
    from scipy import ndimage

    smooth: Array = ndimage.gaussian_filter(volume.data, [sigma / x for x in volume.voxel_size])
    return smooth


def _approximate_centre(head: Volume, mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    """Return the brain's centre in mm, from the crown: the neck's length in a scan varies."""
    points = np.argwhere(mask)[::_HEAD_STRIDE] @ head.affine[:3, :3].T + head.affine[:3, 3]
    crown = np.percentile(points[:, 2], 99.9)
    upper = points[points[:, 2] > crown - 2 * _CENTRE_BELOW_CROWN]
    return np.array([*upper[:, :2].mean(axis=0), crown - _CENTRE_BELOW_CROWN])


def _pitch(degrees: float) -> Affine:
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[1, 0, 0], [0, c, -s], [0, s, c]])
