"""Settings of `blindcurve`, and the family of disturbances that it learns to undo."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harmbench import UserError, at_inference

from .._settings import check_minima


@dataclass(frozen=True, kw_only=True)
class BlindCurveConfig:
    """Settings; all are this project's choices.

    Raises
    ------
    UserError
        For a value outside of its range.
    """

    # The family of disturbances; see `disturb.DisturbanceFamily`.
    field_strength: float = 1.6
    curve_power: float = 0.25
    curve_concentration: float = 5.0
    noise: float = 0.02
    blur: float = 0.4

    knots: int = 24  # bins of the curve
    components: int = 3  # principal components of subjects' quantiles, to draw other subjects from
    textures: int = 16  # bins of intensity whose texture is measured
    degree: int = 3  # of the field's cosines

    field_disturbances: int = 120  # in total, over all scans
    curve_disturbances: int = 300
    partial: float = 0.8  # share of the scans with disturbed curves that are cropped at random
    penalty: float = 0.05  # of the curve's regression
    voxels: int = 2500  # drawn from each disturbed scan
    folds: int = 3  # networks; each is trained without a part of the subjects
    hidden: int = 32
    training_steps: int = 1000
    batch_size: int = 4096  # voxels
    learning_rate: float = 5e-3
    weight_decay: float = 1e-2

    iterations: int = at_inference(4)  # of the field, at most
    prior: float = 3e-3  # precision of the field's cosines, in squared residuals per voxel
    # The curve is estimated again until it moves by less than this number of natural deviations.
    curve_iterations: int = at_inference(4)
    curve_tolerance: float = at_inference(0.8)
    # Squared error of the curve's regression, in squared natural deviations. On held-out
    # subjects of three targets together, 0.25 was better than 0 and than larger values.
    caution: float = at_inference(0.25)
    # Limits of the textures that the regression sees, in deviations over its examples, and of the
    # departure that it corrects, in natural deviations. Without them, scans with noise or
    # ventricles that no training scan has lost up to 8 dB (docs/blindcurve.md).
    texture_limit: float = at_inference(2.0)
    departure_limit: float = at_inference(1.5)
    # A field must be more likely than no field by this number of nats, given the target's scans.
    evidence: float = at_inference(2.0)
    # Share that is removed of a field that target scans may have by nature. It costs where the
    # scan is the subject's own target scan under another curve (`sim-exp`), and gains where it
    # is from another scanner (`domain4`).
    natural: float = at_inference(0.35)
    field: bool = at_inference(True)
    curve: bool = at_inference(True)
    guard: bool = at_inference(True)  # return scans unchanged that do not resemble the target's

    def __post_init__(self) -> None:
        check_minima(self, knots=2, components=0, textures=2, degree=1, folds=1, hidden=1)
        check_minima(self, field_disturbances=1, curve_disturbances=1, voxels=1)
        check_minima(self, training_steps=1, batch_size=1, iterations=1, curve_iterations=1)
        check_minima(self, noise=0, blur=0, partial=0, caution=0, curve_power=0, weight_decay=0)
        if not 0 <= self.natural <= 1:
            raise UserError("natural must lie in [0, 1]")
        if not self.field_strength > 1:
            raise UserError("field_strength must be greater than 1")
        positive = ("curve_concentration", "learning_rate", "prior", "penalty")
        for name in (*positive, "texture_limit", "departure_limit"):
            if not getattr(self, name) > 0:
                raise UserError(f"{name} must be positive")


PRESETS = {
    "quick": BlindCurveConfig(),
    "paper": BlindCurveConfig(),
    # For `harmbench check`: fitted within seconds.
    "tiny": BlindCurveConfig(
        knots=12,
        components=2,
        textures=6,
        field_disturbances=16,
        curve_disturbances=8,
        voxels=200,
        folds=2,
        hidden=8,
        training_steps=20,
        batch_size=256,
    ),
}
ABLATIONS: Mapping[str, Mapping[str, Any]] = {
    "no field": {"field": False},
    "no curve": {"curve": False},
    "one iteration of the curve": {"curve_iterations": 1},
    "no field taken as natural": {"natural": 1.0},
    "all of a natural field kept": {"natural": 0.0},
    "no shrinkage of the curve": {"caution": 0.0},
    "no limits of the curve": {"texture_limit": 1e6, "departure_limit": 1e6},
    "no curves among the disturbances of fields": {"curve_power": 0.0, "curve_concentration": 1e6},
    "whole scans only": {"partial": 0.0},
    "no noise and no blur among the disturbances": {"noise": 0.0, "blur": 0.0},
}
