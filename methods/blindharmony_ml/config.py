"""Settings of the maximum likelihood estimate, all ours."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from harmbench import UserError, at_inference

from .._settings import check_minima
from ..blindharmony.config import QUICK_FLOW, TINY_FLOW, BlindHarmonyConfig, FlowConfig


@dataclass(frozen=True, kw_only=True)
class LikelihoodConfig(FlowConfig):
    """Settings of the maximum likelihood estimate, all ours, beside the flow's."""

    quantiles: int = 1001  # of the population; see the method histogram
    curve_bins: int = 8  # of the curve that corrects the quantile match
    field_degree: int = 3  # of the cosines of the bias field
    # Evenly spaced slices whose likelihood is maximised: neighbours carry the same information.
    likelihood_slices: int = 8
    field_iterations: int = 15  # of Adam, for field and curve together
    curve_iterations: int = 10  # for the curve once the field is known
    step: float = 0.06  # of Adam, on logarithms of heights and slopes; 0.4 of it for the field
    # A mild prior: standard deviations of those logarithms, and of a cosine of degree 1.
    curve_deviation: float = 0.1
    field_deviation: float = 0.06
    jacobian: bool = True  # the change-of-variables term
    # A field must be more likely than no field by this number of nats, given the target's scans.
    evidence: float = at_inference(2.0)
    shrink: bool = at_inference(True)
    field: bool = at_inference(True)
    curve: bool = at_inference(True)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_minima(self, field_degree=1, likelihood_slices=1, field_iterations=1)
        check_minima(self, curve_iterations=1, quantiles=2, curve_bins=2)
        for name in ("step", "curve_deviation", "field_deviation"):
            if not getattr(self, name) > 0:
                raise UserError(f"{name} must be positive")

    @property
    def flow(self) -> BlindHarmonyConfig:
        """The settings of the method that provides the fitted flow."""
        names = [item.name for item in dataclasses.fields(FlowConfig)]
        return BlindHarmonyConfig(**{name: getattr(self, name) for name in names})


PRESETS = {
    "paper": LikelihoodConfig(),
    "quick": LikelihoodConfig(**QUICK_FLOW),
    "tiny": LikelihoodConfig(
        **TINY_FLOW,
        field_degree=2,
        likelihood_slices=2,
        field_iterations=3,
        curve_iterations=3,
    ),
}

ABLATIONS = {
    "no field": {"field": False},
    "no curve": {"curve": False},
    "no shrinkage": {"shrink": False},
    "no Jacobian": {"jacobian": False},
}
