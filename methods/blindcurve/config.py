"""Settings of `blindcurve`."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harmbench import at_inference

from .._settings import check_minima, check_positive
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

    # mm, in whole multiples of the grid's spacing. With 4 mm the cosines are about as accurate,
    # and N4 takes three times as long.
    n4_resolution: float = 8.0

    # Maximisation of the likelihood.
    curve_bins: int = 8
    likelihood_slices: int = 4  # evenly spaced: neighbours carry the same information
    field_iterations: int = 7  # of L-BFGS, for field and curve together
    curve_iterations: int = 5  # for the curve once the field is known
    curve_deviation: float = 0.1  # prior of the logarithms of heights and slopes
    field_deviation: float = 0.06  # prior of a cosine of degree 1
    jacobian: bool = True  # the change-of-variables term

    # A field must be more likely than a natural one by this number of nats. With N4 on voxels of
    # 4 mm, the evidence was at most 2.7 on development scans without a field, and 7 and more on
    # those of other scanners.
    evidence: float = at_inference(3.0)
    # If N4's field changes the log-likelihood by more than this number of nats per voxel, that
    # decides. Else the scan is compared again with and without N4's field, after the likelihood's
    # own field was removed from both. With N4 on voxels of 4 mm, on development scans of a real
    # site, true fields changed it by 0.09 to 0.28, natural ones by -0.01 to 0.02, and enlarged
    # ventricles by 0.03 and less; on those of the phantom it was -0.12 to 0.14, -0.05 to 0.02, and
    # -0.02 and less.
    decisive: float = at_inference(0.1)
    # A scan whose log-likelihood a match of quantiles increases by at most this number of nats per
    # voxel may be a scan of the target. On development scans of the target the increase was at
    # most 0.03, on those with the curves of `sim-log` and `sim-gamma0.7` at least 0.11.
    target_margin: float = at_inference(0.05)

    n4: bool = at_inference(True)
    likelihood_decides: bool = at_inference(True)  # on N4's field
    likely_field: bool = at_inference(True)
    curve: bool = at_inference(True)
    centred_curve: bool = at_inference(True)
    keep_target: bool = at_inference(True)  # return scans unchanged that resemble the target's
    guard: bool = at_inference(True)  # return scans unchanged that no curve and field can correct

    def __post_init__(self) -> None:
        super().__post_init__()
        check_minima(self, quantiles=2, degree=1, curve_bins=2, likelihood_slices=1)
        check_minima(self, field_iterations=1, curve_iterations=1, decisive=0, target_margin=0)
        check_positive(self, "n4_resolution", "curve_deviation", "field_deviation")

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
        n4_resolution=24.0,
        likelihood_slices=2,
        field_iterations=3,
        curve_iterations=3,
    ),
}
ABLATIONS: Mapping[str, Mapping[str, Any]] = {
    "no field of N4": {"n4": False},
    "no field of the likelihood": {"likely_field": False},
    "no field": {"n4": False, "likely_field": False},
    "the likelihood does not decide on N4's field": {"likelihood_decides": False},
    "the likelihood decides before its own field is removed": {"decisive": 0.0},
    "natural fields are removed": {"evidence": -1e6},
    "no curve beyond the match of quantiles": {"curve": False},
    "the flow's mean error is not removed from curves": {"centred_curve": False},
    "scans that resemble the target's are changed": {"keep_target": False},
    "no Jacobian": {"jacobian": False},
}
