"""Simulated shifts: target scans with a contrast that a known function changed.

Random parameters are drawn first, as plain numbers. A pure function then applies them
whenever slices are read, so every method receives the same scans.
"""

from __future__ import annotations

import itertools
import math
from abc import abstractmethod
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from harmbench import (
    Cohort,
    Family,
    ScanSet,
    SkipCell,
    Task,
    TaskData,
    Transform,
    VolumeTransform,
    digest,
    disjoint_subjects,
    numpy_generator,
)

from .ranges import SLICEWISE, RestoredRange, SliceRange, restored_range

Array = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]
Affine = npt.NDArray[np.float64]

# The methods have cosine fields of their own: this generator defines the task's test scans, so
# that no change of a method may change it. `docs/compared.md` names the overlap.
DEGREE = 3  # of the bias field's cosines: waves of 140 mm and longer on the paper's grid
# Order along slice, row and column of each cosine; the constant is no bias.
TERMS = tuple(
    orders for orders in itertools.product(range(DEGREE + 1), repeat=3) if 0 < sum(orders) <= DEGREE
)
STRENGTH = 1.4  # the field lies in [1 / STRENGTH, STRENGTH]
CURVE_DEGREE = 5  # of the Bernstein polynomial that is the random curve
CURVE_CONCENTRATION = 4.0  # of the Dirichlet distribution of its steps; higher is straighter


@dataclass(frozen=True)
class FormulaCurve(VolumeTransform):
    """One global curve for all slices, scaled to map 0 to 0 and 1 to 1.

    On slices that were min-max scaled, this is the paper's shift between two min-max scalings
    (supplement, section 1). On volumes that were scaled as a whole it stays one curve for all
    slices, also for those that do not reach 1.

    Attributes
    ----------
    formula
        `"exp"`: exp(x); `"log"`: ln(1 + 3 x); `"gamma"`: x^gamma.
    gamma
        Used by that formula alone.
    """

    formula: Literal["exp", "log", "gamma"]
    gamma: float = 1.0

    @property
    def digest(self) -> str:
        """Content hash of the curve."""
        return digest("curve", self.formula, self.gamma)

    def __call__(self, images: Tensor, masks: Tensor, scan: Tensor, index: Tensor) -> Tensor:
        """Shift slices `(B, H, W)`; see `harmbench.data.transform.Transform`."""
        if self.formula == "exp":
            return torch.expm1(images) / math.expm1(1)
        if self.formula == "log":
            return torch.log1p(3 * images) / math.log1p(3)
        return images**self.gamma

    def on_volume(self, image: Array, mask: Mask, to_index: Affine, scan: int) -> Array:
        """Shift a volume; see `harmbench.VolumeTransform`."""
        index = torch.zeros(len(image), dtype=torch.int64)
        return self(torch.from_numpy(image), torch.from_numpy(mask), index, index).numpy()


def bernstein(x: Tensor, steps: Tensor) -> Tensor:
    r"""Evaluate monotone curves from (0, 0) to (1, 1).

    .. math::
        c(x) = \sum_{k=1}^n b_k \binom{n}{k} x^k (1 - x)^{n-k},
        \quad b_k = \sum_{j \le k} steps_j

    Parameters
    ----------
    x
        `(B, H, W)` in [0, 1].
    steps
        `(B, n)`, positive, each row adding up to 1.

    Returns
    -------
    Tensor
        `(B, H, W)` in [0, 1].
    """
    n = steps.shape[1]
    heights = steps.cumsum(dim=1)
    y = torch.zeros_like(x)
    for k in range(1, n + 1):
        weight = (math.comb(n, k) * heights[:, k - 1])[:, None, None]
        y += weight * x**k * (1 - x) ** (n - k)
    return y


def cosines(positions: Tensor) -> Tensor:
    """Return cos(pi k u) for k = 0 ... 3 and positions u in [0, 1] `(n,)`: `(n, 4)`."""
    return torch.cos(torch.pi * positions[:, None] * torch.arange(DEGREE + 1))


def _dense(coefficients: Tensor) -> Tensor:
    """Put the coefficients of `TERMS` `(B, 19)` into a cube `(B, 4, 4, 4)`."""
    cube = torch.zeros(len(coefficients), *[DEGREE + 1] * 3)
    i, j, k = (list(axis) for axis in zip(*TERMS, strict=True))
    cube[:, i, j, k] = coefficients
    return cube


@dataclass(frozen=True)
class BiasShift(VolumeTransform):
    """A curve and a smooth multiplicative 3-D field of each scan's own: `field * curve(x)`.

    The field is exp of a sum of cosines over the scan's volume, so it is positive and
    leaves the background 0. Since it varies within a slice, no curve can undo it.

    Attributes
    ----------
    shape
        Of the grid: slices, rows and columns.
    fields
        Coefficients of the cosines `TERMS`, for each scan.
    curves
        Steps of the Bernstein polynomial, for each scan.
    range
        Restores the range of intensities.
    """

    shape: tuple[int, int, int]
    fields: tuple[tuple[float, ...], ...]
    curves: tuple[tuple[float, ...], ...]
    range: RestoredRange = field(default_factory=SliceRange)

    @property
    def digest(self) -> str:
        """Content hash of the drawn parameters."""
        return digest("bias", TERMS, self.shape[0], self.fields, self.curves, self.range.name)

    def field(self, shape: torch.Size, scan: Tensor, index: Tensor) -> Tensor:
        """Return the field on B slices, in [1 / 1.4, 1.4]: `(B, H, W)`."""
        _, H, W = shape
        cube = _dense(torch.tensor([self.fields[i] for i in scan.tolist()]))
        across = cosines((index + 0.5) / self.shape[0])
        rows, columns = (cosines((torch.arange(n) + 0.5) / n) for n in (H, W))
        plane = torch.einsum("bs,bsij->bij", across, cube)
        return torch.exp(rows @ plane @ columns.T)

    def __call__(self, images: Tensor, masks: Tensor, scan: Tensor, index: Tensor) -> Tensor:
        """Shift slices `(B, H, W)`; see `harmbench.data.transform.Transform`."""
        y = self.unscaled(images, masks, scan, index)
        return self.range(y, images, scan, self.unscaled)

    def on_volume(self, image: Array, mask: Mask, to_index: Affine, scan: int) -> Array:
        """Shift a volume; see `harmbench.VolumeTransform`.

        The field continues beyond the grid as its cosines do.
        """
        cube = _dense(torch.tensor(self.fields[scan])[None])[0].double()
        shape = torch.tensor(self.shape, dtype=torch.float64)
        matrix = torch.from_numpy(to_index)
        steps = torch.tensor([self.curves[scan]])
        shifted = torch.from_numpy(image).clone()
        # Slab by slab, so that memory does not grow with the volume.
        for x, plane in enumerate(shifted):
            inside = torch.from_numpy(mask[x])
            y, z = inside.nonzero(as_tuple=True)
            if not len(y):
                continue
            points = torch.stack([torch.full_like(y, x), y, z, torch.ones_like(y)]).double()
            positions = ((matrix @ points)[:3].T + 0.5) / shape
            waves = torch.cos(torch.pi * positions[..., None] * torch.arange(DEGREE + 1))
            log_field = torch.einsum("ijk,ni,nj,nk->n", cube, *waves.unbind(1))
            curve = bernstein(plane[inside][None, None], steps)[0, 0]
            plane[inside] = curve * log_field.exp().float()
        return shifted.numpy()

    def unscaled(self, images: Tensor, masks: Tensor, scan: Tensor, index: Tensor) -> Tensor:
        """Return the shifted slices before their range is restored: `(B, H, W)`, up to 1.4."""
        steps = torch.tensor([self.curves[i] for i in scan.tolist()])
        return bernstein(images, steps) * self.field(images.shape, scan, index)


def draw_bias(scans: ScanSet, seed: int, task: str, normalization: str = SLICEWISE) -> BiasShift:
    """Draw a shift for every scan, each from a stream of its own subject and session.

    Cosines of total degree d have standard deviation 1 / d before the field is scaled to
    a greatest deviation of `STRENGTH` on the volume, whatever the grid.
    """
    basis = cosines(torch.linspace(0, 1, 17))
    fields, curves = [], []
    for key in scans.scans:
        random = numpy_generator(seed, "task", task, key.subject, key.session)
        coefficients = random.standard_normal(len(TERMS)) / [sum(orders) for orders in TERMS]
        cube = _dense(torch.tensor(coefficients[None], dtype=torch.float32))[0]
        peak = torch.einsum("ijk,ai,bj,ck->abc", cube, basis, basis, basis).abs().max()
        fields.append(tuple((coefficients * math.log(STRENGTH) / float(peak)).tolist()))
        steps = random.dirichlet(np.full(CURVE_DEGREE, CURVE_CONCENTRATION))
        curves.append(tuple(steps.tolist()))
    return BiasShift(
        scans.grid.shape,
        tuple(fields),
        tuple(curves),
        restored_range(scans, normalization),
    )


class Simulated(Task):
    """Undo a simulated shift of target scans; the truth is the scan without the shift."""

    @abstractmethod
    def draw(self, scans: ScanSet, seed: int, *, labelled: bool, normalization: str) -> Transform:
        """Draw the shift of these scans.

        Parameters
        ----------
        scans
            Target scans without a transform.
        seed
            Base seed.
        labelled
            Whether all target scans for training and testing have tissue labels.
        normalization
            Name of the normalisation of the scans.
        """

    @abstractmethod
    def describe(self, scans: ScanSet, shift: Any) -> dict[str, Any]:
        """Return the shift of the test scans as JSON types."""

    def setup(self, cohort: Cohort, seed: int) -> TaskData:
        """Shift test scans of the target to be harmonised, and training scans as the source.

        One half of the training subjects is the source, the other half the target; pairs are
        of all training subjects. For methods on all sites the shifted half is a site with the
        name of the task, and the target the only other: no scanner of the cohort has the shift.
        """
        train, validation, test = (
            cohort.scans(cohort.target, split) for split in ("train", "validation", "test")
        )
        if not len(train) or not len(test):
            raise SkipCell(
                f"the target domain '{cohort.target}' has no subject to train or test on"
            )
        source, target = disjoint_subjects(train, train)
        labelled = train.labelled and test.labelled

        def drawn(scans: ScanSet) -> Transform:
            return self.draw(scans, seed, labelled=labelled, normalization=cohort.normalization)

        shift = drawn(test)
        source = source.with_transform(drawn(source))
        return TaskData(
            target=target,
            validation=validation,
            test=test.with_transform(shift),
            references=test,
            no_repeats="the truth is the scan before the shift, which no rescan is",
            source=source,
            sites={target.domain: target, self.name: source.renamed(self.name)},
            test_site=self.name,
            pairs=(train.with_transform(drawn(train)), train),
            parameters={**self.describe(test, shift), "digest": shift.digest},
        )


class GlobalCurve(Simulated):
    """A shift by one fixed curve, the same for all subjects."""

    family = Family.CURVES
    group = "global curve"
    curve: FormulaCurve

    def draw(
        self, scans: ScanSet, seed: int, *, labelled: bool, normalization: str
    ) -> FormulaCurve:
        """Return the curve."""
        return self.curve

    def describe(self, scans: ScanSet, shift: FormulaCurve) -> dict[str, Any]:
        """Return formula and exponent."""
        return {"formula": shift.formula, "gamma": shift.gamma}


class Exp(GlobalCurve):
    """The paper's exponential shift."""

    name = "sim-exp"
    summary = "undo exp(x), simulated on the target's own scans"
    curve = FormulaCurve("exp")


class Log(GlobalCurve):
    """The paper's logarithmic shift."""

    name = "sim-log"
    summary = "undo ln(1 + 3x), simulated on the target's own scans"
    curve = FormulaCurve("log")


class Gamma(GlobalCurve):
    """The paper's power shifts."""

    summary = "undo x to the power of gamma, simulated on the target's own scans"

    def __init__(self, gamma: float) -> None:
        self.name = f"sim-gamma{gamma}"
        self.curve = FormulaCurve("gamma", gamma)


class Bias(Simulated):
    """A bias field and a curve of each scan's own, which the paper does not have."""

    name = "sim-bias"
    summary = "undo a smooth bias field and a random curve of each scan's own"
    family = Family.BIAS

    def draw(self, scans: ScanSet, seed: int, *, labelled: bool, normalization: str) -> BiasShift:
        """Draw a field and a curve for every scan."""
        return draw_bias(scans, seed, self.name, normalization)

    def describe(self, scans: ScanSet, shift: BiasShift) -> dict[str, Any]:
        """Return the drawn parameters, by `"subject/session"`."""
        parameters = {
            f"{key.subject}/{key.session}": {"field": list(field), "curve": list(steps)}
            for key, field, steps in zip(scans.scans, shift.fields, shift.curves, strict=True)
        }
        return {
            "strength": STRENGTH,
            "terms": [list(orders) for orders in TERMS],
            "scans": parameters,
        }
