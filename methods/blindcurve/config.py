"""Settings of `blindcurve`."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harmbench import UserError, at_inference

from .._settings import check_minima
from ..blindharmony.config import QUICK_FLOW, TINY_FLOW, BlindHarmonyConfig, FlowConfig


@dataclass(frozen=True, kw_only=True)
class BlindCurveConfig(FlowConfig):
    """Settings beside the flow's; all are this project's choices.

    Raises
    ------
    UserError
        For a value outside of its range.
    """

    quantiles: int = 1001  # of the population; see the method histogram
    degree: int = 3  # of the field's cosines

    # Disturbed scans of the target, which the networks learn from; see `disturbances`.
    disturbances: int = 120  # in total, over all scans
    field_strength: float = 1.6
    power_deviation: float = 0.25
    noise: float = 0.02
    blur: float = 0.4
    voxels: int = 2500  # drawn from each disturbed scan
    folds: int = 3  # networks; each is trained without a part of the subjects
    network_hidden: int = 32
    network_steps: int = 1000
    network_batch: int = 4096  # voxels
    network_rate: float = 5e-3
    weight_decay: float = 1e-2
    network_iterations: int = 4  # of the field, at most
    network_prior: float = 3e-3  # precision of the cosines, in squared residuals per voxel

    # Maximisation of the likelihood.
    curve_bins: int = 8
    likelihood_slices: int = 4  # evenly spaced: neighbours carry the same information
    field_iterations: int = 15  # of Adam, for field and curve together
    curve_iterations: int = 10  # for the curve once the field is known
    step: float = 0.06  # of Adam, on logarithms of heights and slopes; 0.4 of it for the field
    curve_deviation: float = 0.1  # prior of those logarithms
    field_deviation: float = 0.06  # prior of a cosine of degree 1
    jacobian: bool = True  # the change-of-variables term

    # A field must be more likely than a natural one by this number of nats. On development scans
    # without a field, the evidence was at most 2.7; on those of other scanners 7 and more.
    evidence: float = at_inference(3.0)
    # If the networks' field changes the log-likelihood by more than this number of nats per
    # voxel, that decides. Else the scan is compared again with and without the networks' field,
    # after the likelihood's own field was removed from both. On development scans, true fields
    # changed it by -0.06 to 0.27, natural ones by -0.04 to 0.05, enlarged ventricles that look
    # like a field by 0.02 and less.
    decisive: float = at_inference(0.1)
    # A scan whose log-likelihood a match of quantiles increases by at most this number of nats per
    # voxel may be a scan of the target. On development scans of the target the increase was at
    # most 0.03, on those with the curves of `sim-log` and `sim-gamma0.7` at least 0.11.
    target_margin: float = at_inference(0.05)

    learned_field: bool = at_inference(True)
    likelihood_decides: bool = at_inference(True)  # on the networks' field
    likely_field: bool = at_inference(True)
    curve: bool = at_inference(True)
    centred_curve: bool = at_inference(True)
    keep_target: bool = at_inference(True)  # return scans unchanged that resemble the target's
    guard: bool = at_inference(True)  # return scans unchanged that no curve and field can correct

    def __post_init__(self) -> None:
        super().__post_init__()
        check_minima(self, quantiles=2, degree=1, disturbances=1, voxels=1, folds=1)
        check_minima(self, network_hidden=1, network_steps=1, network_batch=1)
        check_minima(self, network_iterations=1, curve_bins=2, likelihood_slices=1)
        check_minima(self, field_iterations=1, curve_iterations=1, noise=0, blur=0)
        check_minima(self, power_deviation=0, weight_decay=0, decisive=0, target_margin=0)
        if not self.field_strength > 1:
            raise UserError("field_strength must be greater than 1")
        for name in ("network_rate", "network_prior", "step", "curve_deviation", "field_deviation"):
            if not getattr(self, name) > 0:
                raise UserError(f"{name} must be positive")

    @property
    def flow(self) -> BlindHarmonyConfig:
        """The settings of the method that provides the fitted flow."""
        names = [item.name for item in dataclasses.fields(FlowConfig)]
        return BlindHarmonyConfig(**{name: getattr(self, name) for name in names})


PRESETS = {
    "paper": BlindCurveConfig(),
    "quick": BlindCurveConfig(**QUICK_FLOW),
    # For `harmbench check`: fitted within seconds.
    "tiny": BlindCurveConfig(
        **TINY_FLOW,
        degree=2,
        disturbances=16,
        voxels=200,
        folds=2,
        network_hidden=8,
        network_steps=20,
        network_batch=256,
        likelihood_slices=2,
        field_iterations=3,
        curve_iterations=3,
    ),
}
ABLATIONS: Mapping[str, Mapping[str, Any]] = {
    "no field of the networks": {"learned_field": False},
    "no field of the likelihood": {"likely_field": False},
    "no field": {"learned_field": False, "likely_field": False},
    "the likelihood does not decide on the networks' field": {"likelihood_decides": False},
    "the likelihood decides before its own field is removed": {"decisive": 0.0},
    "natural fields are removed": {"evidence": -1e6},
    "no curve beyond the match of quantiles": {"curve": False},
    "the flow's mean error is not removed from curves": {"centred_curve": False},
    "scans that resemble the target's are changed": {"keep_target": False},
    "no Jacobian": {"jacobian": False},
    "no powers among the disturbances": {"power_deviation": 0.0},
    "no noise and no blur among the disturbances": {"noise": 0.0, "blur": 0.0},
}
