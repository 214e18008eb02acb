"""Random disturbances of target scans: drawn into plain numbers, then applied."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from .._cosine_field import Cosines, with_maxima_of
from .config import BlindCurveConfig


@dataclass(frozen=True, kw_only=True)
class Disturbance:
    """The parameters of one disturbance.

    Attributes
    ----------
    exponent
        Power that intensities are raised to.
    field
        `(P,)` coefficients of the cosines: the logarithm of the bias field.
    blur, noise
        Share of the 3 x 3 mean in a slice, and the noise's standard deviation.
    noise_seed
        Seed of the noise's voxels.
    """

    exponent: float
    field: Tensor
    blur: float
    noise: float
    noise_seed: int


def draw(random: np.random.Generator, config: BlindCurveConfig, cosines: Cosines) -> Disturbance:
    """Draw a disturbance.

    The logarithm of the field's greatest factor is uniform up to that of `field_strength`, and
    a cosine of degree d has deviation 1 / d before the field is scaled. Blur and noise are
    uniform up to their settings; the logarithm of the exponent is normal.
    """
    field = torch.from_numpy(random.standard_normal(len(cosines.terms))).float() / cosines.degrees
    peak = float(cosines.field(field, (17, 17, 17)).abs().max())
    return Disturbance(
        exponent=math.exp(config.power_deviation * random.standard_normal()),
        field=field * (random.uniform() * math.log(config.field_strength) / peak),
        blur=config.blur * random.uniform(),
        noise=config.noise * random.uniform(),
        noise_seed=int(random.integers(2**62)),
    )


def disturbed(
    image: Tensor, mask: Tensor, disturbance: Disturbance, cosines: Cosines, slicewise: bool
) -> Tensor:
    """Disturb a scan `(S, H, W)` in [0, 1], in the order in which scanners do.

    Tissue is blurred and has another contrast, the coil's field multiplies the signal, and
    noise is added; the foreground stays positive, the background 0.
    """
    weight = mask.to(image.dtype)
    signal = image * weight
    mean, share = (F.avg_pool2d(x[:, None], 3, 1, 1)[:, 0] for x in (signal, weight))
    signal = torch.lerp(signal, mean / share.clamp_min(1e-3), disturbance.blur)
    shape: tuple[int, int, int] = (image.shape[0], image.shape[1], image.shape[2])
    field = cosines.field(disturbance.field.to(image), shape).exp()
    generator = torch.Generator().manual_seed(disturbance.noise_seed)
    noise = disturbance.noise * torch.randn(image.shape, generator=generator).to(image)
    signal = (signal**disturbance.exponent * field + noise).clamp_min(1e-4) * weight
    return with_maxima_of(image, signal) if slicewise else signal / signal.max().clamp_min(1.0)
