"""Step 3 of preprocessing: register a brain to the MNI152 template, or to its partner."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from harmbench.errors import BadScanError
from harmbench.preprocessing.brain import MAX_BRAIN_LITRES, Brain, crop_brain
from harmbench.preprocessing.initial_pose import brain_pose
from harmbench.preprocessing.nifti_read import Volume
from harmbench.util.resample import resample

# 47 real brains score 0.44 to 0.79. Five of them stored upside down, whose registration
# must fail, score 0.28 to 0.34; stored back to front 0.19 to 0.42; a ball of noise 0.27.
# A score in between may be a brain that is unlike the template, so such scans are reported
# but not left out.
MIN_CORRELATION = 0.3
DOUBTFUL_CORRELATION = 0.43
# Two scans of one subject are far more alike than a scan and the template.
MIN_PAIR_CORRELATION = 0.4

_COARSE, _FINE = 4.0, 3.0  # mm, of the images that are registered
_MARGIN = 40.0  # mm of background around the moving brain, so that the template stays inside it
_SEED = 20  # of the samples at which mutual information is estimated


@dataclass(frozen=True)
class Registration:
    """Affine from MNI152 to scan space, with its similarity score.

    Attributes
    ----------
    matrix
        `(4, 4)` as nested tuples: from MNI152 to the scan's own millimetres.
    correlation
        Pearson's correlation with the template after registration, at least 6 mm inside the
        template's brain: near the edge even a ball correlates with a brain.
    """

    matrix: tuple[tuple[float, ...], ...]
    correlation: float


def register(brain: Brain) -> Registration:
    """Register a brain, or a head, to the MNI152 template by an affine transform.

    Centre and size from moments; then a similarity and an affine transform by correlation
    of smooth images, which is robust; then the affine transform by Mattes' mutual
    information, which tolerates another contrast. For a head the start is a search over
    poses, and only the brain is compared. Repeatable to the bit.

    Raises
    ------
    BadScanError
        If the correlation with the template is too low, or the optimiser fails.
    """
    import SimpleITK as sitk
    from scipy import ndimage

    # Several threads sum in varying order, so results differ in their last bits. The
    # setting of the registration object alone does not reach its metric.
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
    correlation = _correlation(moving, matrix, template.volume, template.inside)
    if not correlation >= MIN_CORRELATION:
        raise BadScanError(
            f"registration to MNI152 failed: correlation {correlation:.2f} with the template "
            f"(expected >= {MIN_CORRELATION}); check that it is a T1w brain in the right "
            "orientation"
        )
    return Registration(_nested(matrix), correlation)


def register_rigidly(
    brain: Brain, partner: Brain, brain_to: Registration, partner_to: Registration
) -> Registration:
    """Register a brain to another scan of the same subject by a rigid transform.

    It starts from the rigid part of the transform between the scans that their registrations
    to the template give, and maximises Mattes' mutual information, because scanners differ
    in contrast. Repeatable to the bit.

    Parameters
    ----------
    brain, partner
        The moving and the fixed scan.
    brain_to, partner_to
        Their registrations to MNI152.

    Returns
    -------
    Registration
        From MNI152 to the brain's own millimetres by way of the partner, so that both reach
        the template by the same affine transform; with the correlation of the scans, at
        least 6 mm inside the partner's brain.

    Raises
    ------
    BadScanError
        If the correlation of the scans is too low, or the optimiser fails.
    """
    import SimpleITK as sitk
    from scipy import ndimage

    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    moving = _isotropic(brain.image, _FINE, _MARGIN)
    fixed = _isotropic(partner.image, _FINE, 2 * _COARSE)
    to_mni = np.array(partner_to.matrix)
    start = np.array(brain_to.matrix) @ np.linalg.inv(to_mni)
    left, _, right = np.linalg.svd(start[:3, :3])
    rotation = left @ np.diag([1, 1, np.linalg.det(left @ right)]) @ right
    centre = (partner.image.affine @ [*ndimage.center_of_mass(partner.mask), 1])[:3]

    rigid = sitk.Euler3DTransform()
    rigid.SetCenter(centre.tolist())
    rigid.SetMatrix(rotation.ravel().tolist(), 1e-6)
    rigid.SetTranslation((start[:3, :3] @ centre + start[:3, 3] - centre).tolist())
    mask = _dilated_mask(fixed)
    _optimize(_itk(fixed), _itk(moving), mask, rigid, step=1.0, information=True)

    matrix = _matrix(rigid)
    inside = ndimage.binary_erosion(fixed.data > 0, iterations=2)
    correlation = _correlation(moving, matrix, fixed, inside)
    if not correlation >= MIN_PAIR_CORRELATION:
        raise BadScanError(
            f"rigid registration to the partner failed: correlation {correlation:.2f} "
            f"(expected >= {MIN_PAIR_CORRELATION}); check that both are the same subject"
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


def _correlation(
    moving: Volume,
    matrix: npt.NDArray[np.float64],
    fixed: Volume,
    inside: npt.NDArray[np.bool_],
) -> float:
    """Return the correlation of a moved volume with a fixed one, inside its brain."""
    moved = resample(moving.data, moving.affine, matrix @ fixed.affine, fixed.data.shape)
    return float(np.corrcoef(moved[inside], fixed.data[inside])[0, 1])


@dataclass(frozen=True, eq=False, kw_only=True)
class _Template:
    """The template as images for SimpleITK, and its measurements."""

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
    """Load the skull-stripped T1 template that the nilearn package contains."""
    from nilearn.datasets import load_mni152_template
    from scipy import ndimage

    image = load_mni152_template(resolution=1)
    brain = crop_brain(Volume(np.asarray(image.dataobj, dtype=np.float32), image.affine))
    coarse = _isotropic(brain.image, _COARSE, 2 * _COARSE)
    fine = _isotropic(brain.image, _FINE, 2 * _COARSE)
    smooth = Volume(ndimage.gaussian_filter(coarse.data, 4.0 / _COARSE), coarse.affine)
    x, y, z, _ = brain.image.affine @ [*ndimage.center_of_mass(brain.mask), 1]
    return _Template(
        volume=fine,
        inside=ndimage.binary_erosion(fine.data > 0, iterations=2),
        smooth=_itk(smooth),
        coarse_mask=_dilated_mask(coarse),
        fine=_itk(fine),
        fine_mask=_dilated_mask(fine),
        brain_masks=(_dilated_mask(coarse, 0), _dilated_mask(fine, 0)),
        centre=(float(x), float(y), float(z)),
        size=np.count_nonzero(brain.mask) * brain.image.voxel_volume,
    )


def _isotropic(volume: Volume, spacing: float, margin: float) -> Volume:
    """Resample a brain onto an axis-aligned lattice of equal spacing with a margin around it."""
    # Without this, bright vessels would take most of the range of the histogram.
    bright = np.percentile(volume.data[volume.data > 0], 99)
    data = np.minimum(volume.data, bright)
    # Average blocks of voxels first: much faster than interpolating as many samples.
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
    return Volume(resample(data, affine, upright, (nx, ny, nz)), upright)


def _itk(volume: Volume) -> Any:
    """Convert an axis-aligned volume to a SimpleITK image.

    SimpleITK's axes point to the left and back. Ours are passed on unchanged, which makes
    no difference because all images are treated alike.
    """
    import SimpleITK as sitk

    image = sitk.GetImageFromArray(volume.data.T)
    image.SetSpacing(volume.voxel_size)
    image.SetOrigin(volume.affine[:3, 3].tolist())
    return image


def _dilated_mask(volume: Volume, voxels: int = 2) -> Any:
    """Return the brain mask, dilated by about `voxels`, as a SimpleITK image."""
    import SimpleITK as sitk
    from scipy import ndimage

    mask = volume.data > 0
    if voxels:
        mask = ndimage.binary_dilation(mask, iterations=voxels)
    values = mask.astype(np.float32)
    return sitk.Cast(_itk(Volume(values, volume.affine)), sitk.sitkUInt8)


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
        raise BadScanError(f"registration failed: {reason}") from error
