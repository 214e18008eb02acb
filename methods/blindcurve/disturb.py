"""The family of disturbances: drawn first, into plain numbers, then applied by a pure function."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from harmbench import numpy_generator

from .._cosine_field import Cosines
from .config import BlindCurveConfig
from .maps import Curve, ascending, in_range

_STEPS = 5  # of the random curve


@dataclass(frozen=True, kw_only=True)
class DisturbanceFamily:
    """The distribution of disturbances.

    Attributes
    ----------
    field_strength
        The field's greatest factor is drawn evenly, as a logarithm, from 1 to this one.
    curve_power
        Deviation of the logarithm of the curve's exponent.
    curve_concentration
        Of the Dirichlet distribution of the curve's five steps; higher is straighter.
    noise
        The noise's deviation is drawn evenly from 0 to this part of the range.
    blur
        The share of the 3 x 3 mean in a slice is drawn evenly from 0 to this.
    """

    field_strength: float
    curve_power: float
    curve_concentration: float
    noise: float
    blur: float


def disturbance_family(config: BlindCurveConfig, *, fields: bool) -> DisturbanceFamily:
    """Return the family of disturbances of these settings, with or without fields."""
    return DisturbanceFamily(
        field_strength=config.field_strength if fields else 1.0,
        curve_power=config.curve_power,
        curve_concentration=config.curve_concentration,
        noise=config.noise,
        blur=config.blur,
    )


@dataclass(frozen=True, kw_only=True)
class Disturbance:
    """The parameters of one disturbance of a scan, as plain numbers.

    Attributes
    ----------
    steps, exponent
        Of the curve: a smooth one through the sums of its steps, to the power of the exponent.
    field
        Coefficients of the cosines: the logarithm of the field.
    blur, noise
        Share of the 3 x 3 mean, and the noise's deviation.
    noise_seed
        Seed of the noise's voxels.
    """

    steps: tuple[float, ...]
    exponent: float
    field: tuple[float, ...]
    blur: float
    noise: float
    noise_seed: int


def draw(random: np.random.Generator, family: DisturbanceFamily, cosines: Cosines) -> Disturbance:
    """Draw a disturbance; a cosine of degree d has deviation 1 / d before scaling."""
    field = random.standard_normal(len(cosines.terms)) / cosines.degrees.numpy()
    coefficients = torch.from_numpy(field).float()
    peak = float(cosines.field(coefficients, (17, 17, 17)).abs().max())
    strength = random.uniform() * math.log(family.field_strength)
    steps = random.dirichlet(np.full(_STEPS, family.curve_concentration))
    return Disturbance(
        steps=tuple(steps.tolist()),
        exponent=math.exp(family.curve_power * random.standard_normal()),
        field=tuple((field * strength / peak).tolist()),
        blur=family.blur * random.uniform(),
        noise=family.noise * random.uniform(),
        noise_seed=int(random.integers(2**62)),
    )


def draw_disturbances(
    scans: int,
    count: int,
    family: DisturbanceFamily,
    cosines: Cosines,
    *,
    seed: int,
    names: tuple[str, str],
) -> Iterator[tuple[int, Disturbance, np.random.Generator]]:
    """Draw `count` disturbances for `scans` scans in turn, each from its own random stream.

    Yields
    ------
    tuple
        Index of the scan, its disturbance, and the stream, for further draws.
    """
    for n in range(count):
        random = numpy_generator(seed, *names, n)
        yield n % scans, draw(random, family, cosines), random


def draw_part(random: np.random.Generator) -> tuple[tuple[float, float], ...]:
    """Draw a part of a scan: its ends along slice, row and column, in [0, 1].

    An interval of slices, of columns, the middle, or all. The tissue fractions of a part differ
    from those of a brain, as in subjects who differ from the training subjects.
    """
    size = random.uniform(0.35, 1)
    start = random.uniform(0, 1 - size)
    full_axis, interval = (0.0, 1.0), (start, start + size)
    middle = (0.5 - size**0.5 / 2, 0.5 + size**0.5 / 2)
    parts = (
        (interval, full_axis, full_axis),
        (full_axis, full_axis, interval),
        (full_axis, middle, middle),
        (full_axis,) * 3,
    )
    return parts[random.integers(len(parts))]


def within(mask: Tensor, part: tuple[tuple[float, float], ...]) -> Tensor:
    """Return the foreground `(S, H, W)` that lies in a part; all of it if the part has none."""
    box = torch.zeros_like(mask)
    ends = [
        slice(round(low * n), max(round(high * n), round(low * n) + 1))
        for (low, high), n in zip(part, mask.shape, strict=True)
    ]
    box[tuple(ends)] = True
    inside = mask & box
    return inside if bool(inside.any()) else mask


def disturbed(
    image: Tensor, mask: Tensor, disturbance: Disturbance, cosines: Cosines, slicewise: bool
) -> Tensor:
    """Disturb a scan `(S, H, W)` in [0, 1], in the order in which scanners do.

    Tissue is blurred and has another contrast, the coil's field multiplies the signal, and
    noise is added to that; the foreground stays positive, the background 0.
    """
    weight = mask.to(image.dtype)
    signal = image * weight
    if disturbance.blur:
        mean, share = (F.avg_pool2d(x[:, None], 3, 1, 1)[:, 0] for x in (signal, weight))
        signal = torch.lerp(signal, mean / share.clamp_min(1e-3), disturbance.blur)
    heights = torch.tensor((0.0, *disturbance.steps), device=image.device).cumsum(dim=0)
    curve = Curve(torch.linspace(0, 1, _STEPS + 1, device=image.device), ascending(heights))
    field = torch.tensor(disturbance.field, device=image.device)
    shape: tuple[int, int, int] = (image.shape[0], image.shape[1], image.shape[2])
    signal = curve(signal) ** disturbance.exponent * cosines.field(field, shape).exp()
    if disturbance.noise:
        generator = torch.Generator().manual_seed(disturbance.noise_seed)
        noise = torch.randn(image.shape, generator=generator).to(image)
        signal = signal + disturbance.noise * noise
    signal = signal.clamp_min(1e-4) * weight
    return in_range(signal, image, slicewise) if slicewise else signal / signal.max().clamp_min(1.0)
