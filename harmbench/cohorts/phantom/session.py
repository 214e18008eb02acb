"""A scan session: all that is drawn when a subject lies down in a scanner."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from harmbench.cohorts.phantom.masks import MaskError, draw_mask_error
from harmbench.cohorts.phantom.pose import Pose, draw_pose
from harmbench.cohorts.phantom.scanner import SCANNERS
from harmbench.cohorts.phantom.smooth_field import SmoothField
from harmbench.cohorts.phantom.streams import (
    clipped_normal,
    scanner_generator,
    subject_generator,
    subject_seed,
)

FIRST, SECOND = "1", "2"  # names of sessions

_FIELD_SPACING = 60.0  # mm: scale of what the models of the fields leave out
_LOADING = 0.02  # scatter of the log gain of a loop between sessions
_STRONG_MOTION = 0.1  # fraction of sessions in which the subject moves a lot


@dataclass(frozen=True, eq=False, kw_only=True)
class ScanSession:
    """All that was drawn for one subject in one scanner.

    Attributes
    ----------
    pose
        Of the head in the frame of the scanner.
    b1
        Mean of B1+ over the brain, over nominal: how well the transmitter was adjusted.
    transmit
        Fall of B1+, as in `Scanner`.
    gains
        Logarithm of the gain of each receive loop.
    noise
        As in `Scanner`.
    motion
        FWHM in mm of the blur that motion adds.
    fields
        Irregularity of log B1+ and of the log receive sensitivity (2 channels each): that of
        the scanner, and that of the session.
    mask
        Error of the brain mask.
    noise_seed
        Seed of the noise.
    """

    pose: Pose
    b1: float
    transmit: float
    gains: tuple[float, ...]
    noise: float
    motion: float
    fields: tuple[SmoothField, SmoothField]
    mask: MaskError
    noise_seed: int

    @property
    def details(self) -> dict[str, Any]:
        """The numbers, without the fields, as JSON types."""
        return {
            "pose": self.pose.details,
            "b1_mean": round(self.b1, 4),
            "b1_fall": round(self.transmit, 4),
            "coil_gains_log": [round(value, 3) for value in self.gains],
            "noise": round(self.noise, 4),
            "motion_mm": round(self.motion, 3),
            "mask_offset_mm": round(self.mask.offset, 3),
        }


def draw_session(subject: str, scanner: str, session: str = FIRST) -> ScanSession:
    """Draw a session; depends on the names of subject, scanner and session alone."""
    generator = subject_generator(subject, "session", scanner, session)
    typical = SCANNERS[scanner]

    def normal(mean: float, deviation: float) -> float:
        return clipped_normal(generator, mean, deviation)

    fixed = typical.coil.draw_gains(scanner_generator(scanner, "gains"))
    strong = generator.random() < _STRONG_MOTION
    return ScanSession(
        pose=draw_pose(generator),
        b1=normal(1.0, 0.03),
        transmit=typical.transmit * normal(1.0, 0.06),
        gains=tuple(gain + normal(0.0, _LOADING) for gain in fixed),
        noise=typical.noise * math.exp(normal(0.0, 0.1)),
        motion=abs(normal(0.0, 0.3)) + (abs(normal(1.2, 0.4)) if strong else 0.0),
        fields=(
            SmoothField.draw(scanner_generator(scanner, "fields"), _FIELD_SPACING, 2),
            SmoothField.draw(generator, _FIELD_SPACING, 2),
        ),
        mask=draw_mask_error(
            typical.extraction,
            scanner_generator(scanner, "mask"),
            subject_generator(subject, "mask", scanner, session),
        ),
        noise_seed=subject_seed(subject, "noise", scanner, session),
    )
