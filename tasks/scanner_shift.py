"""A scanner-like shift: coil field, contrast of the tissues, blur and noise.

Parameters are drawn first, into plain numbers: those of the scanner once for a task and seed,
those of a session for every scan. A pure function then applies them whenever slices are read.
Lengths are in mm, so the shift does not depend on the grid.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from harmbench import Grid, ScanSet, derive, digest, numpy_generator

from .ranges import SLICEWISE, RestoredRange, SliceRange, restored_range

N_LOOPS = 8  # receive coils, on a cylinder around the head
LOOP_RADIUS = 90.0  # mm
CYLINDER_RADIUS = 150.0  # mm
# Standard deviation of the logarithm of the field over a head. Between receive fields that the
# scanner has corrected (0.02 to 0.05 on public studies) and uncorrected ones (about 0.2).
FIELD_DEVIATION = 0.1
HEAD = (65.0, 70.0, 85.0)  # mm: semi-axes of an ellipsoid along slices, rows and columns
ROTATION, TRANSLATION = 5.0, 6.0  # degrees and mm: standard deviations of the head's pose
GAINS, SESSION_GAINS = 0.15, 0.02  # standard deviations of the log gain of a tissue
BEND, SESSION_BEND = 0.4, 0.05  # of the curve's log slope at 0, where tissues are unknown
BLUR, SESSION_BLUR = (0.6, 1.2), 0.1  # mm: range for the scanner, and deviation of a session
PARTIAL_VOLUME = 1.0  # mm: blur of the labels, so that the gain changes smoothly
NOISE = 0.04  # standard deviation in a voxel of NOISE_VOXEL, in units of the range
NOISE_VOXEL = 1.2**3  # mm3
NOISE_RADIUS = 60.0  # mm: noise is doubled at the centre, and falls off with this radius

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class ShiftScanner:
    """Parameters that all sessions on the scanner share.

    Attributes
    ----------
    loops
        Centre of each receive coil, in mm from the centre of the scanner.
    field_power
        Power of the coils' sensitivity, which sets the strength of the field.
    gains
        Log gain of CSF, grey and white matter.
    bend
        Log slope at 0 of the curve that is used where tissues are unknown.
    blur
        Standard deviation in the slice, in mm.
    """

    loops: tuple[tuple[float, ...], ...]
    field_power: float
    gains: tuple[float, ...]
    bend: float
    blur: float


@dataclass(frozen=True, kw_only=True)
class ShiftSession:
    """Parameters of one scan.

    Attributes
    ----------
    rotation, translation
        Pose of the head in the scanner: degrees about, and mm along slices, rows, columns.
    gains, bend, blur
        As of `ShiftScanner`, with the deviation of this session.
    noise_seed
        Seed of the noise's voxels.
    """

    rotation: tuple[float, ...]
    translation: tuple[float, ...]
    gains: tuple[float, ...]
    bend: float
    blur: float
    noise_seed: int


def draw_scanner(seed: int, task: str) -> ShiftScanner:
    """Draw a scanner: the same for training and test scans of a task and seed."""
    random = numpy_generator(seed, "task", task, "scanner")
    angles = 2 * np.pi * (np.arange(N_LOOPS) + random.uniform(-0.3, 0.3, N_LOOPS)) / N_LOOPS
    heights = random.uniform(-60, 60, N_LOOPS)
    radii = CYLINDER_RADIUS * random.uniform(0.9, 1.1, N_LOOPS)
    loops = np.stack([heights, radii * np.cos(angles), radii * np.sin(angles)], axis=1)
    axes = [np.linspace(-extent, extent, 13) for extent in HEAD]
    positions = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    head = positions[((positions / HEAD) ** 2).sum(axis=1) <= 1]
    deviation = float(log_sensitivity(torch.tensor(head), torch.tensor(loops)).std())
    return ShiftScanner(
        loops=tuple(tuple(loop) for loop in loops.tolist()),
        field_power=FIELD_DEVIATION / deviation,
        gains=tuple((GAINS * random.standard_normal(3)).tolist()),
        bend=float(BEND * random.standard_normal()),
        blur=float(random.uniform(*BLUR)),
    )


def draw_session(
    scanner: ShiftScanner, seed: int, task: str, *, subject: str, session: str
) -> ShiftSession:
    """Draw a session of a subject on a scanner."""
    random = numpy_generator(seed, "task", task, "session", subject, session)
    gains = np.array(scanner.gains) + SESSION_GAINS * random.standard_normal(3)
    return ShiftSession(
        rotation=tuple((ROTATION * random.standard_normal(3)).tolist()),
        translation=tuple((TRANSLATION * random.standard_normal(3)).tolist()),
        gains=tuple(gains.tolist()),
        bend=float(scanner.bend + SESSION_BEND * random.standard_normal()),
        blur=max(0.0, float(scanner.blur + SESSION_BLUR * random.standard_normal())),
        noise_seed=derive(seed, "task", task, "noise", subject, session),
    )


def log_sensitivity(positions: Tensor, loops: Tensor) -> Tensor:
    r"""Return the logarithm of the root sum of squares of the coils' sensitivities.

    A circular loop of radius a has, on its axis, the field of Biot and Savart

    .. math::
        s(d) = \left( \frac{a^2}{a^2 + d^2} \right)^{3/2}

    at the distance d from its centre; it is used in all directions.

    Parameters
    ----------
    positions
        `(..., 3)` in mm.
    loops
        `(L, 3)` in mm.

    Returns
    -------
    Tensor
        `(...)`.
    """
    distance2 = (positions[..., None, :] - loops).square().sum(dim=-1)
    squared = (LOOP_RADIUS**2 / (LOOP_RADIUS**2 + distance2)) ** 3
    return squared.sum(dim=-1).log() / 2


def _rotation(degrees: tuple[float, ...]) -> Tensor:
    """Return the matrix of rotations about the three axes, one after the other."""
    matrix = torch.eye(3, dtype=torch.float64)
    for axis, angle in enumerate(degrees):
        cosine, sine = math.cos(math.radians(angle)), math.sin(math.radians(angle))
        first, second = (axis + 1) % 3, (axis + 2) % 3
        step = torch.eye(3, dtype=torch.float64)
        step[first, first] = step[second, second] = cosine
        step[first, second], step[second, first] = -sine, sine
        matrix = step @ matrix
    return matrix


def blurred(images: Tensor, sigma: tuple[float, float]) -> Tensor:
    """Blur slices `(B, H, W)` by a Gaussian of standard deviation `sigma` in pixels."""
    for axis, deviation in enumerate(sigma):
        if deviation <= 0:
            continue
        reach = math.ceil(3 * deviation)
        offsets = torch.arange(-reach, reach + 1, dtype=images.dtype)
        kernel = torch.exp(-0.5 * (offsets / deviation) ** 2)
        kernel = (kernel / kernel.sum()).view(1, 1, *((-1, 1) if axis == 0 else (1, -1)))
        padding = (reach, 0) if axis == 0 else (0, reach)
        images = functional.conv2d(images[:, None], kernel, padding=padding)[:, 0]
    return images


@dataclass(frozen=True, kw_only=True)
class ScannerShift:
    """The shift of scans by a scanner; see `harmbench.data.transform.Transform`.

    Attributes
    ----------
    grid
        The grid of the scans.
    scanner, sessions
        Parameters of the scanner, and of each scan.
    labels
        The same scans with tissue labels; None to change the contrast by a curve.
    range
        Restores the range of intensities.
    """

    grid: Grid
    scanner: ShiftScanner
    sessions: tuple[ShiftSession, ...]
    labels: ScanSet | None
    range: RestoredRange = field(default_factory=SliceRange)

    @property
    def digest(self) -> str:
        """Content hash of the drawn parameters and of the labels."""
        labels = None if self.labels is None else self.labels.digest
        parameters = [asdict(self.scanner), *map(asdict, self.sessions)]
        return digest("scanner shift", self.grid, parameters, labels, self.range.name)

    def positions(self, session: ShiftSession, index: Tensor) -> Tensor:
        """Return the voxels of B slices in the scanner's frame, in mm: `(B, H, W, 3)`."""
        S, H, W = self.grid.shape
        centred = [
            (torch.arange(n, dtype=torch.float64) - (n - 1) / 2) * step
            for n, step in zip((S, H, W), self.grid.spacing, strict=True)
        ]
        axes = (centred[0][index], centred[1], centred[2])
        head = torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1)
        moved = head @ _rotation(session.rotation).T
        return moved + torch.tensor(session.translation, dtype=torch.float64)

    def log_field(self, positions: Tensor) -> Tensor:
        """Return the logarithm of the field, 0 at the centre of the scanner: `(...)`."""
        loops = torch.tensor(self.scanner.loops, dtype=torch.float64)
        centre = log_sensitivity(torch.zeros(3, dtype=torch.float64), loops)
        return self.scanner.field_power * (log_sensitivity(positions, loops) - centre)

    def __call__(self, images: Tensor, masks: Tensor, scan: Tensor, index: Tensor) -> Tensor:
        """Shift slices `(B, H, W)`."""
        shifted = self.unscaled(images, masks, scan, index)
        return self.range(shifted, images, scan, self.unscaled)

    def unscaled(self, images: Tensor, masks: Tensor, scan: Tensor, index: Tensor) -> Tensor:
        """Return the shifted slices before their range is restored: `(B, H, W)`."""
        shifted = torch.empty_like(images)
        for number in sorted(set(scan.tolist())):
            chosen = scan == number
            shifted[chosen] = self._shifted(images[chosen], masks[chosen], number, index[chosen])
        return shifted

    def _shifted(self, images: Tensor, masks: Tensor, number: int, index: Tensor) -> Tensor:
        """Shift slices of one scan."""
        session = self.sessions[number]
        positions = self.positions(session, index)
        y = self._with_contrast(images, session, number, index)
        y = y * self.log_field(positions).exp().to(y.dtype)
        y = self._blurred(y, masks, session.blur)
        return torch.where(masks, self._with_noise(y, positions, session, index), 0)

    def _with_contrast(
        self, x: Tensor, session: ShiftSession, number: int, index: Tensor
    ) -> Tensor:
        if self.labels is None:
            slope = math.exp(session.bend)
            return slope * x / (1 + (slope - 1) * x)
        labels = self.labels.label_slices(number * self.grid.shape[0] + index)
        shares = torch.stack(
            [self._smooth((labels == tissue).to(x.dtype), PARTIAL_VOLUME) for tissue in (1, 2, 3)]
        )
        gains = torch.tensor(session.gains).exp().view(3, 1, 1, 1)
        total = shares.sum(dim=0)
        gain = (gains * shares).sum(dim=0) / total.clamp_min(1e-6)
        return x * torch.where(total > 1e-3, gain, 1)

    def _blurred(self, y: Tensor, masks: Tensor, blur: float) -> Tensor:
        """Blur within the mask: the removed skull must not darken the edge of the brain."""
        inside = masks.to(y.dtype)
        return self._smooth(y * inside, blur) / self._smooth(inside, blur).clamp_min(1e-3)

    def _smooth(self, images: Tensor, millimetres: float) -> Tensor:
        _, row, column = self.grid.spacing
        return blurred(images, (millimetres / row, millimetres / column))

    def _with_noise(
        self, y: Tensor, positions: Tensor, session: ShiftSession, index: Tensor
    ) -> Tensor:
        """Add Rician noise, strongest at the centre, as of parallel imaging."""
        volume = math.prod(self.grid.spacing)
        radius2 = positions.square().sum(dim=-1)
        factor = 1 + torch.exp(-radius2 / NOISE_RADIUS**2)
        deviation = (NOISE * math.sqrt(NOISE_VOXEL / volume) * factor / 2).to(y.dtype)
        real, imaginary = (
            torch.stack([_normal(session.noise_seed, name, i, y.shape[1:]) for i in index.tolist()])
            for name in ("real", "imaginary")
        )
        return torch.hypot(y + deviation * real, deviation * imaginary)


def _normal(seed: int, name: str, index: int, shape: torch.Size) -> Tensor:
    random = numpy_generator(seed, name, index)
    return torch.from_numpy(random.standard_normal(tuple(shape), dtype=np.float32))


def draw_shift(
    scans: ScanSet, seed: int, task: str, *, tissues: bool, normalization: str = SLICEWISE
) -> ScannerShift:
    """Draw the shift of scans: one scanner, and a session for each scan.

    Parameters
    ----------
    scans
        Scans without a transform.
    seed, task
        Base seed and the task's name.
    tissues
        Whether the contrast is changed tissue by tissue; the scans have labels then.
    normalization
        Name of the normalisation of the scans.
    """
    scanner = draw_scanner(seed, task)
    sessions = tuple(
        draw_session(scanner, seed, task, subject=scan.subject, session=scan.session)
        for scan in scans.scans
    )
    labels = scans if tissues else None
    return ScannerShift(
        grid=scans.grid,
        scanner=scanner,
        sessions=sessions,
        labels=labels,
        range=restored_range(scans, normalization),
    )


def as_json(shift: ScannerShift, scans: ScanSet) -> dict[str, Any]:
    """Return the drawn parameters as JSON types; sessions by `"subject/session"`."""
    sessions = {
        f"{scan.subject}/{scan.session}": _jsonable(session)
        for scan, session in zip(scans.scans, shift.sessions, strict=True)
    }
    contrast = "curve" if shift.labels is None else "tissues"
    return {"contrast": contrast, "scanner": _jsonable(shift.scanner), "scans": sessions}


def _jsonable(parameters: ShiftScanner | ShiftSession) -> dict[str, Any]:
    def plain(value: Any) -> Any:
        return [plain(item) for item in value] if isinstance(value, tuple) else value

    return {name: plain(value) for name, value in asdict(parameters).items()}
