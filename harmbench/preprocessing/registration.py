"""Step 3 of preprocessing: register a brain to the MNI152 template, or to its partner."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from harmbench.errors import BadScanError
from harmbench.preprocessing.brain import MAX_BRAIN_LITRES, Brain
from harmbench.preprocessing.dark_regions import (
    Region,
    dark_region,
    mask_without,
    without_region,
)
from harmbench.preprocessing.initial_pose import brain_pose, brain_rotations
from harmbench.preprocessing.nifti_read import Volume
from harmbench.preprocessing.registration_images import (
    FINE,
    MARGIN,
    UNIT,
    RegistrationTemplate,
    evened,
    isotropic,
    itk_image,
    itk_mask,
    load_template,
    smoothed,
    transform_matrix,
)
from harmbench.preprocessing.registration_quality import (
    DOUBTFUL_CORRELATION,
    MIN_CORRELATION,
    axis_scales,
    correlation,
    implausibility,
    local_correlation,
)

# Two scans of one subject are far more alike than a scan and the template.
MIN_PAIR_CORRELATION = 0.4

_MOVING_MARGIN = 40.0  # mm around the moving brain, so that the template stays inside it
_STARTS = 2  # poses that are tried before a brain is doubtful or rejected
_SEED = 20  # of the samples at which mutual information is estimated


@dataclass(frozen=True)
class Registration:
    """Affine from MNI152 to scan space, with its similarity score.

    Attributes
    ----------
    matrix
        `(4, 4)` as nested tuples: from MNI152 to the scan's own millimetres.
    correlation
        Of a registration to the template: the mean correlation with the template in windows
        of about 3 cm. Of one to a partner: Pearson's correlation with the partner. Both at
        least 6 mm inside the fixed brain: near the edge even a ball correlates with a brain.
    starts
        The number of poses that the optimiser started from: more than one if the result of
        the first was doubtful or implausible.
    """

    matrix: tuple[tuple[float, ...], ...]
    correlation: float
    starts: int = 1

    @property
    def scales(self) -> tuple[float, float, float]:
        """Size of the brain relative to the template along its three axes, largest first."""
        x, y, z = axis_scales(np.array(self.matrix))
        return float(x), float(y), float(z)


def register(brain: Brain) -> Registration:
    """Register a brain, or a head, to the MNI152 template by an affine transform.

    Centre and size from moments, rotation from a search; then a similarity and an affine
    transform by correlation of smooth images, which is robust; then the affine transform by
    Mattes' mutual information, which tolerates another contrast. A region that is far darker
    than the template is left out in a second pass of the last stage. For a head the
    search is over whole poses, and only the brain is compared. If the result is doubtful or
    implausible, another rotation is tried, and the better result is kept. Repeatable
    to the bit.

    Raises
    ------
    BadScanError
        If the correlation with the template is too low, the affine transform implausible, or
        the optimiser fails.
    """
    import SimpleITK as sitk

    # Several threads sum in varying order, so results differ in their last bits. The
    # setting of the registration object alone does not reach its metric.
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    template = load_template()
    raw = isotropic(brain.image, FINE, _MOVING_MARGIN)
    moving = evened(raw)
    best: Registration | None = None
    reason = "the template resembles it in no pose"
    count = 0
    for start in _starts(brain, moving, template):
        count += 1
        matrix = _affine(moving, start, template, head=_is_head(brain))
        region = None if _is_head(brain) else dark_region(moving, matrix, template)
        if region is not None:
            matrix = _affine_without(region, raw, matrix, template)
        score = local_correlation(raw, matrix, template.volume, template.inside)
        implausible = implausibility(matrix)
        if implausible is not None:
            reason = implausible
        elif best is None or score > best.correlation:
            best = Registration(_nested(matrix), score)
            if score >= DOUBTFUL_CORRELATION:
                break
    if best is not None:
        if best.correlation >= MIN_CORRELATION:
            return replace(best, starts=count)
        reason = (
            f"correlation {best.correlation:.2f} with the template (expected >= {MIN_CORRELATION})"
        )
    raise BadScanError(
        f"registration to MNI152 failed: {reason}; check that it is a T1w brain in the right "
        "orientation, with the right voxel sizes"
    )


def _is_head(brain: Brain) -> bool:
    return _size(brain) > MAX_BRAIN_LITRES * 1e6


def _size(brain: Brain) -> float:
    """Return the volume of a brain in mm^3."""
    return np.count_nonzero(brain.mask) * brain.image.voxel_volume


def _starts(brain: Brain, moving: Volume, template: RegistrationTemplate) -> Iterator[Any]:
    """Yield the similarity transforms to start from, most promising first."""
    import SimpleITK as sitk
    from scipy import ndimage

    if _is_head(brain):
        pose = brain_pose(moving, moving.data > 0, template.volume, template.centre)
        matrices = [pose[:3, :3]]
        centre = (pose @ [*template.centre, 1])[:3]
    else:
        centre = (brain.image.affine @ [*ndimage.center_of_mass(brain.mask), 1])[:3]
        scale = (_size(brain) / template.size) ** (1 / 3)
        rotations = brain_rotations(moving, centre, scale, template.volume, template.centre)
        matrices = [scale * rotation for rotation in rotations[:_STARTS]]
    for matrix in matrices:
        similarity = sitk.Similarity3DTransform()
        similarity.SetCenter((np.array(template.centre) / UNIT).tolist())
        similarity.SetMatrix(matrix.ravel().tolist(), 1e-6)
        similarity.SetTranslation(((centre - template.centre) / UNIT).tolist())
        yield similarity


def _affine(
    moving: Volume, similarity: Any, template: RegistrationTemplate, *, head: bool
) -> npt.NDArray[np.float64]:
    """Return the affine transform that the optimiser reaches from a similarity transform.

    The correlation that it maximises is squared, so from an anti-correlation it would get
    worse. The starts are positive, and the steps too short to leap to another sign.
    """
    import SimpleITK as sitk

    smooth = itk_image(smoothed(moving))
    coarse, fine = template.brain_masks if head else (template.coarse_mask, template.fine_mask)
    _optimize(template.smooth, smooth, coarse, similarity, step=4.0, min_step=0.2)
    affine = sitk.AffineTransform(3)
    affine.SetCenter(similarity.GetCenter())
    affine.SetMatrix(similarity.GetMatrix())
    affine.SetTranslation(similarity.GetTranslation())
    if not head:
        _optimize(template.smooth, smooth, coarse, affine, step=1.0, min_step=0.05)
    _by_information(template.fine, moving, fine, affine)
    return transform_matrix(affine)


def _affine_without(
    region: Region,
    raw: Volume,
    matrix: npt.NDArray[np.float64],
    template: RegistrationTemplate,
) -> npt.NDArray[np.float64]:
    """Improve an affine transform with a region of the template left out of the comparison."""
    import SimpleITK as sitk

    affine = sitk.AffineTransform(3)
    affine.SetCenter((np.array(template.centre) / UNIT).tolist())
    affine.SetMatrix(matrix[:3, :3].ravel().tolist())
    shift = (matrix @ [*template.centre, 1])[:3] - template.centre
    affine.SetTranslation((shift / UNIT).tolist())
    moving = without_region(raw, matrix, region, template)
    _by_information(template.fine, moving, mask_without(region, template), affine)
    return transform_matrix(affine)


def _by_information(fixed: Any, moving: Volume, mask: Any, affine: Any) -> None:
    """Improve an affine transform in place by mutual information: the last stage."""
    image = itk_image(moving)
    _optimize(fixed, image, mask, affine, step=0.4, min_step=0.02, information=True)


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
    moving = isotropic(brain.image, FINE, _MOVING_MARGIN)
    fixed = isotropic(partner.image, FINE, MARGIN)
    to_mni = np.array(partner_to.matrix)
    start = np.array(brain_to.matrix) @ np.linalg.inv(to_mni)
    left, _, right = np.linalg.svd(start[:3, :3])
    rotation = left @ np.diag([1, 1, np.linalg.det(left @ right)]) @ right
    centre = (partner.image.affine @ [*ndimage.center_of_mass(partner.mask), 1])[:3]
    translation = start[:3, :3] @ centre + start[:3, 3] - centre

    rigid = sitk.Euler3DTransform()
    rigid.SetCenter((centre / UNIT).tolist())
    rigid.SetMatrix(rotation.ravel().tolist(), 1e-6)
    rigid.SetTranslation((translation / UNIT).tolist())
    mask = itk_mask(fixed, 2)
    _optimize(
        itk_image(fixed), itk_image(moving), mask, rigid, step=1.0, min_step=0.02, information=True
    )
    matrix = transform_matrix(rigid)
    inside = ndimage.binary_erosion(fixed.data > 0, iterations=2)
    score = correlation(moving, matrix, fixed, inside)
    if not score >= MIN_PAIR_CORRELATION:
        raise BadScanError(
            f"rigid registration to the partner failed: correlation {score:.2f} "
            f"(expected >= {MIN_PAIR_CORRELATION}); check that both are the same subject"
        )
    return Registration(_nested(matrix @ to_mni), score)


def _nested(matrix: npt.NDArray[np.float64]) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(float(x) for x in row) for row in matrix)


def _optimize(
    fixed: Any,
    moving: Any,
    mask: Any,
    transform: Any,
    *,
    step: float,
    min_step: float,
    information: bool = False,
) -> None:
    """Improve `transform` in place by steps that move voxels by about `step` mm at most.

    The step is halved or so whenever the gradient turns back, down to `min_step` mm.
    """
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
    # The step is a length in the space of the parameters. In `UNIT`s, a brain has a radius
    # of about one, so every parameter moves voxels by about as much as it changes.
    method.SetOptimizerAsRegularStepGradientDescent(
        learningRate=step / UNIT,
        minStep=min_step / UNIT,
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
