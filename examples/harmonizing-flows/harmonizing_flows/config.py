"""Settings of the methods, with their sources."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from harmbench import UserError, at_inference
from harmbench_methods.blindharmony.config import PRESETS as FLOW_PRESETS
from harmbench_methods.blindharmony.config import BlindHarmonyConfig, FlowConfig

# Sources of the constants:
#   [code]  the behaviour of the authors' released code
#   [ours]  a choice of this plugin


@dataclass(frozen=True, kw_only=True)
class HarmonizingFlowsConfig(FlowConfig):  # type: ignore[misc]
    """Settings of the flow, as in `blindharmony`, and of the harmoniser.

    Raises
    ------
    UserError
        If a value is outside its range.
    """

    width: int = 32  # [ours] channels of the U-Net at full resolution; "shallow" in the paper
    depth: int = 4  # [ours] number of times that it halves the resolution
    harmonizer_steps: int = 10_000  # [code] about 200 epochs of a dozen subjects' slices
    harmonizer_batch_size: int = 32  # [code]
    harmonizer_learning_rate: float = 1e-3  # [code]; [ours] cosine annealing
    bits_scans: int = 50  # [ours] maximum number of scans to estimate the target's bits

    adapt_steps: int = at_inference(20)  # [code] passes through the domain; here: steps
    adapt_slices: int = at_inference(16)  # [code] slices per step
    adapt_learning_rate: float = at_inference(1e-5)  # [ours]; [code] 4e-6, for far more steps
    # Adaptation stops when a scan's bits reach the mean of the target's scans, as in the paper,
    # plus [ours] this number of standard deviations.
    adapt_deviations: float = at_inference(0.0)

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("width", "depth", "harmonizer_steps", "harmonizer_batch_size", "bits_scans"):
            check_positive(name, getattr(self, name))
        for name in ("harmonizer_learning_rate", "adapt_slices", "adapt_learning_rate"):
            check_positive(name, getattr(self, name))
        if self.adapt_steps < 0:
            raise UserError("adapt_steps must be at least 0")

    @property
    def flow(self) -> BlindHarmonyConfig:
        """Settings of the method `blindharmony`, whose fitted flow is used."""
        return BlindHarmonyConfig(**shared_settings(self, FlowConfig))


def check_positive(name: str, value: float) -> None:
    """Raise a `UserError` for a setting that is not positive."""
    if not value > 0:
        raise UserError(f"{name} must be positive")


def shared_settings(config: FlowConfig, cls: type[FlowConfig]) -> dict[str, Any]:
    """Return the settings of a config that `cls` also has, by name."""
    return {item.name: getattr(config, item.name) for item in dataclasses.fields(cls)}


PRESETS = {
    "paper": HarmonizingFlowsConfig(),
    # [ours] Two CPU cores fit it in two minutes, without the flow.
    "quick": HarmonizingFlowsConfig(
        **shared_settings(FLOW_PRESETS["quick"], FlowConfig),
        width=8,
        harmonizer_steps=1000,
        harmonizer_batch_size=8,
        harmonizer_learning_rate=3e-3,
        adapt_slices=8,
        adapt_steps=10,
    ),
    # [ours] For `harmbench check`.
    "tiny": HarmonizingFlowsConfig(
        levels=2,
        steps=1,
        hidden=8,
        blocks=1,
        grey_levels=31,
        training_steps=4,
        batch_size=4,
        mixed_precision=False,
        validation_slices=4,
        width=4,
        depth=2,
        harmonizer_steps=4,
        harmonizer_batch_size=4,
        adapt_slices=4,
        adapt_steps=2,
    ),
}
