"""Registration of a brain to the MNI152 template."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from harmbench.errors import BadScanError
from harmbench.preprocessing.initial_pose import brain_pose
from harmbench.preprocessing.masking import Brain, extract
from harmbench.preprocessing.nifti_read import MAX_BRAIN_LITRES, Volume
from harmbench.preprocessing.resampling import resample

# 47 real brains score 0.44 to 0.79; five of them laid into the file upside down or on
# their head, whose registration is bound to fail, 0.28 to 0.34, back to front 0.19 to 0.42,
# and a ball of noise 0.27. Between lies room for brains unlike the template, so those are
# named and not left out.
MIN_CORRELATION = 0.3
DOUBTFUL_CORRELATION = 0.43
# Two scans of one subject are far more alike than a scan and the template.
MIN_PAIR_CORRELATION = 0.4

_COARSE, _FINE = 4.0, 3.0  # mm, of the images that are registered
_MARGIN = 40.0  # mm of background around the moving brain, so that the template never leaves it
_SEED = 20  # of the samples at which mutual information is estimated


@dataclass(frozen=True)
class Registration:
    """How a scan lies to the template.

    Attributes
    ----------
    matrix
        `(4, 4)` as nested tuples: from MNI152 to the scan's own millimetres.
    correlation
        Pearson's correlation with the template after registration, where its brain is
        at least 6 mm deep: nearer to the edge any ball is like any brain.
    """

    matrix: tuple[tuple[float, ...], ...]
    correlation: float


def register(brain: Brain) -> Registration:
    """Register a brain, or a head, to the MNI152 template by an affine transform.

    Centre and size by moments; then a similarity and an affine transform by correlation of
    smooth images, which cannot be misled far; then the affine transform by Mattes' mutual
    information, which does not mind another contrast. A head begins by a search over poses,
    and what is around the brain has no part in it. Repeatable to the bit.

    Raises
    ------
    BadScanError
        If the result is not like a brain.
    """
    import SimpleITK as sitk
    from scipy import ndimage

    # Sums over threads come in any order, and so differ in their last bits. Setting it
    # on the registration alone does not reach the metric.
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    template = _template()
    moving = _isotropic(brain.image, _FINE, _MARGIN)
    smooth = _itk(Volume(ndimage.gaussian_filter(moving.data, 4.0 / _FINE), moving.affine))

    similarity = sitk.Similarity3DTransform()
    similarity.SetCenter(template.centre)
    size = np.count_nonzero(brain.mask) * brain.image.voxel_volume
    head = size > MAX_BRAIN_LITRES * 1e6
    if head:
        pose = brain_pose(moving, moving.data > 0, template.volume, template.centre)
        similarity.SetMatrix(pose[:3, :3].ravel().tolist(), 1e-6)
        start = pose @ [*template.centre, 1]
    else:
        start = brain.image.affine @ [*ndimage.center_of_mass(brain.mask), 1]
        similarity.SetScale((size / template.size) ** (1 / 3))
    similarity.SetTranslation([start[i] - template.centre[i] for i in range(3)])
    coarse, fine = template.brain_masks if head else (template.coarse_mask, template.fine_mask)
    _optimize(template.smooth, smooth, coarse, similarity, step=2.0)

    affine = sitk.AffineTransform(3)
    affine.SetCenter(similarity.GetCenter())
    affine.SetMatrix(similarity.GetMatrix())
    affine.SetTranslation(similarity.GetTranslation())
    if not head:
        _optimize(template.smooth, smooth, coarse, affine, step=1.0)
    _optimize(template.fine, _itk(moving), fine, affine, step=0.4, information=True)

    matrix = _matrix(affine)
    correlation = _likeness(moving, matrix, template.volume, template.inside)
    if not correlation >= MIN_CORRELATION:
        raise BadScanError(
            f"registration to MNI152 failed: correlation {correlation:.2f} with the template, "
            f"and at least {MIN_CORRELATION} is needed; is it a T1w brain, and its "
            "orientation right?"
        )
    return Registration(_nested(matrix), correlation)


def register_rigidly(
    brain: Brain, partner: Brain, brain_to: Registration, partner_to: Registration
) -> Registration:
    """Register a brain to another scan of the same subject by a rigid transform.

    It starts from where the two lie to the template, without what is not rigid in that,
    and goes on by Mattes' mutual information, the scanners having contrasts of their own.
    Repeatable to the bit.

    Parameters
    ----------
    brain, partner
        The scan to be moved, and the one that stays.
    brain_to, partner_to
        How the two lie to MNI152.

    Returns
    -------
    Registration
        From MNI152 to the brain's own millimetres by way of the partner, so that both are
        brought to the template by one affine transform; with the correlation of the two
        where the partner's brain is at least 6 mm deep.

    Raises
    ------
    BadScanError
        If the two are not alike afterwards.
    """
    import SimpleITK as sitk
    from scipy import ndimage

    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    moving = _isotropic(brain.image, _FINE, _MARGIN)
    fixed = _isotropic(partner.image, _FINE, 2 * _COARSE)
    to_mni = np.array(partner_to.matrix)
    start = np.array(brain_to.matrix) @ np.linalg.inv(to_mni)
    left, _, right = np.linalg.svd(start[:3, :3])
    turn = left @ np.diag([1, 1, np.linalg.det(left @ right)]) @ right
    centre = (partner.image.affine @ [*ndimage.center_of_mass(partner.mask), 1])[:3]

    rigid = sitk.Euler3DTransform()
    rigid.SetCenter(centre.tolist())
    rigid.SetMatrix(turn.ravel().tolist(), 1e-6)
    rigid.SetTranslation((start[:3, :3] @ centre + start[:3, 3] - centre).tolist())
    around = _around(fixed)
    _optimize(_itk(fixed), _itk(moving), around, rigid, step=1.0, information=True)

    matrix = _matrix(rigid)
    inside = ndimage.binary_erosion(fixed.data > 0, iterations=2)
    correlation = _likeness(moving, matrix, fixed, inside)
    if not correlation >= MIN_PAIR_CORRELATION:
        raise BadScanError(
            f"rigid registration to the partner failed: correlation {correlation:.2f}, and at "
            f"least {MIN_PAIR_CORRELATION} is needed; are they of one subject?"
        )
    return Registration(_nested(matrix @ to_mni), correlation)


def _matrix(transform: Any) -> npt.NDArray[np.float64]:
    """Return a linear transform of SimpleITK as a `(4, 4)` matrix."""
    matrix = np.eye(4)
    matrix[:3, :3] = np.reshape(transform.GetMatrix(), (3, 3))
    matrix[:3, 3] = transform.TransformPoint((0.0, 0.0, 0.0))
    return matrix


def _nested(matrix: npt.NDArray[np.float64]) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(float(x) for x in row) for row in matrix)


def _likeness(
    moving: Volume,
    matrix: npt.NDArray[np.float64],
    known: Volume,
    inside: npt.NDArray[np.bool_],
) -> float:
    """Return the correlation of a moved volume with a known one, inside its brain."""
    found = resample(moving, matrix @ known.affine, known.data.shape)
    return float(np.corrcoef(found[inside], known.data[inside])[0, 1])


@dataclass(frozen=True, eq=False)
class _Template:
    """What of the template does not depend on the scan: images for SimpleITK, and numbers."""

    volume: Volume
    inside: npt.NDArray[np.bool_]
    smooth: Any
    coarse_mask: Any
    fine: Any
    fine_mask: Any
    brain_masks: tuple[Any, Any]
    centre: tuple[float, float, float]
    size: float


@lru_cache(maxsize=1)
def _template() -> _Template:
    """Load the skull-stripped T1 template that comes inside the nilearn package."""
    from nilearn.datasets import load_mni152_template
    from scipy import ndimage

    image = load_mni152_template(resolution=1)
    brain = extract(Volume(np.asarray(image.dataobj, dtype=np.float32), image.affine))
    coarse = _isotropic(brain.image, _COARSE, 2 * _COARSE)
    fine = _isotropic(brain.image, _FINE, 2 * _COARSE)
    smooth = Volume(ndimage.gaussian_filter(coarse.data, 4.0 / _COARSE), coarse.affine)
    x, y, z, _ = brain.image.affine @ [*ndimage.center_of_mass(brain.mask), 1]
    return _Template(
        volume=fine,
        inside=ndimage.binary_erosion(fine.data > 0, iterations=2),
        smooth=_itk(smooth),
        coarse_mask=_around(coarse),
        fine=_itk(fine),
        fine_mask=_around(fine),
        brain_masks=(_around(coarse, 0), _around(fine, 0)),
        centre=(float(x), float(y), float(z)),
        size=np.count_nonzero(brain.mask) * brain.image.voxel_volume,
    )


def _isotropic(volume: Volume, spacing: float, margin: float) -> Volume:
    """Return a brain on an upright lattice of one spacing, with background around it."""
    # Bright vessels would take the range of the histogram for themselves.
    bright = np.percentile(volume.data[volume.data > 0], 99)
    data = np.minimum(volume.data, bright)
    # Means of whole blocks first: far quicker than as many interpolated samples.
    blocks = np.maximum(1, np.floor(spacing / np.array(volume.voxel_size))).astype(int)
    a, b, c = blocks
    data = np.pad(data, [(0, -size % n) for size, n in zip(data.shape, blocks, strict=True)])
    x, y, z = np.floor_divide(data.shape, blocks)
    data = data.reshape(x, a, y, b, z, c).mean(axis=(1, 3, 5))
    affine = volume.affine @ np.diag([*blocks.astype(float), 1.0])
    affine[:3, 3] = (volume.affine @ [*(blocks - 1) / 2, 1])[:3]

    corners = np.stack(np.meshgrid(*[[0, n - 1] for n in data.shape])).reshape(3, -1)
    corners = affine[:3, :3] @ corners + affine[:3, 3:]
    low, high = corners.min(axis=1) - margin, corners.max(axis=1) + margin
    upright = np.diag([spacing, spacing, spacing, 1.0])
    upright[:3, 3] = low
    nx, ny, nz = (int(n) for n in np.ceil((high - low) / spacing) + 1)
    return Volume(resample(Volume(data, affine), upright, (nx, ny, nz)), upright)


def _itk(volume: Volume) -> Any:
    """Hand an upright volume to SimpleITK.

    Its own axes run to the left and back; ours are given to it as if they were those,
    which is the same for all images and so makes no difference.
    """
    import SimpleITK as sitk

    image = sitk.GetImageFromArray(volume.data.T)
    image.SetSpacing(volume.voxel_size)
    image.SetOrigin(volume.affine[:3, 3].tolist())
    return image


def _around(volume: Volume, voxels: int = 2) -> Any:
    """Return the mask of the brain and what is within about so many voxels of it."""
    import SimpleITK as sitk
    from scipy import ndimage

    mask = volume.data > 0
    if voxels:
        mask = ndimage.binary_dilation(mask, iterations=voxels)
    wide = mask.astype(np.float32)
    return sitk.Cast(_itk(Volume(wide, volume.affine)), sitk.sitkUInt8)


def _optimize(
    fixed: Any, moving: Any, mask: Any, transform: Any, *, step: float, information: bool = False
) -> None:
    """Improve `transform` in place; the first step moves voxels by about `step` mm."""
    import SimpleITK as sitk

    method = sitk.ImageRegistrationMethod()
    if information:
        method.SetMetricAsMattesMutualInformation(numberOfHistogramBins=32)
        method.SetMetricSamplingStrategy(method.RANDOM)
        method.SetMetricSamplingPercentage(0.5, _SEED)
    else:
        method.SetMetricAsCorrelation()
    method.SetMetricFixedMask(mask)
    method.SetInterpolator(sitk.sitkLinear)
    method.SetOptimizerAsRegularStepGradientDescent(
        learningRate=step,
        minStep=step / 40,
        numberOfIterations=100,
        relaxationFactor=0.6,
        gradientMagnitudeTolerance=1e-8,
    )
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetInitialTransform(transform, inPlace=True)
    try:
        method.Execute(fixed, moving)
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1]
        raise BadScanError(f"registration to MNI152 failed: {reason}") from error
