"""Log bias fields: estimate by N4, and the share of their variance that a site has in common."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from harmbench.preprocessing.bias_field import correct_bias_field
from harmbench.preprocessing.brain import Brain
from harmbench.preprocessing.nifti_read import Array, Volume

STEP = 4  # voxels between samples of a field: N4's field is smooth over centimetres


def corrected(
    image: Array, mask: npt.NDArray[np.bool_], affine: npt.NDArray[np.float64]
) -> tuple[Array, Array]:
    """Return the image without its bias field, and the log field: `(S, H, W)` float32 each.

    N4 runs on every fourth voxel of the whole grid, so its spline has the same nodes for
    every scan. Outside the mask the field is an extrapolation.
    """
    box = (slice(0, image.shape[0]), slice(0, image.shape[1]), slice(0, image.shape[2]))
    brain, field = correct_bias_field(Brain(Volume(image, affine), mask, box))
    return brain.image.data, np.log(field)


def centred(fields: npt.NDArray[np.floating], region: npt.NDArray[np.bool_]) -> Array:
    """Return log fields within a region, without their mean: `(N, V)` from `(N, S, H, W)`.

    The mean of a log field is the scale of the scan, which is arbitrary.
    """
    values = fields[:, region].astype(np.float32)
    result: Array = values - values.mean(axis=1, keepdims=True)
    return result


def common_share(fields: Array, subjects: Sequence[str]) -> float:
    """Return the share of variance that the mean over *other* subjects explains.

    `1 - sum (f_i - m_i)^2 / sum f_i^2`, where `m_i` is the mean field of all subjects except
    that of scan i. It predicts an unseen subject. With few subjects it is below the share of
    the true mean, because `m_i` is noisy; see `common_variance`.

    Parameters
    ----------
    fields
        `(N, V)`, as from `centred`.
    subjects
        The subject of each scan: length N, at least two different.
    """
    names = np.array(subjects)
    means = {name: fields[names == name].mean(axis=0) for name in dict.fromkeys(subjects)}
    total = sum(means.values())
    others = np.stack([(total - means[name]) / (len(means) - 1) for name in subjects])
    return float(1 - ((fields - others) ** 2).sum() / (fields**2).sum())


def common_variance(fields: Array, subjects: Sequence[str]) -> tuple[float, float]:
    """Return the variance of the common field as a share of all, and the scatter between subjects.

    One-way random effects: `s^2`, the variance between subjects at a voxel (n - 1 degrees of
    freedom), is averaged over voxels; the share is `1 - mean s^2 / mean f^2`, which is unbiased
    in numerator and denominator. The scatter is the root of `mean s^2`, in log units.
    """
    names = np.array(subjects)
    means = np.stack([fields[names == name].mean(axis=0) for name in dict.fromkeys(subjects)])
    between = float(means.var(axis=0, ddof=1).mean())
    return 1 - between / float((means**2).mean()), float(np.sqrt(between))
