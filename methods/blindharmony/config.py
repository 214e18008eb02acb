"""Every constant of BlindHarmony, beside where it is from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from harmbench import UserError, at_inference

from .._settings import check_minima, check_positive

# Where the constants below are from:
#   [S 2.1]  the paper's supplement, section 2.1
#   [NSF]    Durkan et al. 2019, the image models, which [S 2.1] says it follows
#   [code]   the behaviour of the authors' released code, described in our own words
#   [ours]   a choice of this project


@dataclass(frozen=True, kw_only=True)
class FlowConfig:
    """Settings of the flow and its training; the defaults are the paper's.

    Raises
    ------
    UserError
        For a value outside of its range.
    """

    levels: int = 4  # [S 2.1] "4 layers"
    steps: int = 7  # [S 2.1] per level
    hidden: int = 96  # [NSF] width of the coupling networks
    blocks: int = 3  # [S 2.1] residual blocks of a coupling network
    bins: int = 8  # [S 2.1] K
    tail_bound: float = 3.0  # [S 2.1] B
    positions: bool = False  # [ours] coupling networks know where in the slice they are
    grey_levels: int = 4080  # [code] 12-bit: levels 0..4080, noise of one level

    training_steps: int = 20_000  # [S 2.1]; the released configuration has 10,000
    batch_size: int = 256  # [NSF]
    micro_batches: int = 1  # [ours] gradient accumulation: number of parts of a batch
    learning_rate: float = 5e-4  # [S 2.1] annealed to 0 along a cosine
    max_gradient_norm: float = 0.0  # [ours] clip to this norm; 0 is off, as in the paper
    flips: bool = False  # [ours] mirror every other training slice left to right
    mixed_precision: bool = True  # [ours] coupling networks in bfloat16, on hardware with it
    validate_every: int = 500  # [code] steps between validations
    validation_slices: int = 775  # [S 2.1] simulated; 760 for the real domains

    # Slices per slice index behind the initial mean: simulated shifts 200, real domains
    # 20 [code]; a cohort with fewer training scans gives all that it has.
    mean_slices: int = 200

    slices_at_once: int = at_inference(50)  # [ours] bounds the memory; a scan has 50 slices

    def __post_init__(self) -> None:
        check_minima(self, levels=1, steps=1, hidden=1, blocks=1, bins=2, grey_levels=1)
        check_minima(self, training_steps=1, batch_size=1, micro_batches=1, validate_every=1)
        check_minima(self, validation_slices=1, mean_slices=1, slices_at_once=1)
        check_minima(self, max_gradient_norm=0)
        check_positive(self, "tail_bound", "learning_rate")
        if self.batch_size % self.micro_batches:
            raise UserError("micro_batches must divide batch_size")


@dataclass(frozen=True, kw_only=True)
class BlindHarmonyConfig(FlowConfig):
    """Settings of BlindHarmony: the flow's, and those of the loop, which no fit depends on."""

    iterations: int = at_inference(10)  # [code]
    alpha: float = at_inference(1e-3)  # [code] shrinkage of the latent per iteration
    beta1: float = at_inference(1e3)  # [code] step size along the correlation, Eq. 1
    beta2: float = at_inference(1e-3)  # [code] step size along the non-edge term, Eq. 2
    centred: bool = at_inference(False)  # [code] cosine; an earlier version has Pearson's
    mask_quantile: float = at_inference(0.3)  # [code] non-edge: below the 30th percentile
    mask_threshold: float = at_inference(0.05)  # [code] and brighter than this
    round_trip: float = at_inference(1e-4)  # [ours] worst error of f^-1(f(x)) in float32

    def __post_init__(self) -> None:
        super().__post_init__()
        check_minima(self, iterations=1, beta1=0, beta2=0, round_trip=0)
        if not 0 <= self.alpha <= 1:
            raise UserError("alpha must be in [0, 1]")
        if not 0 <= self.mask_quantile <= 1:
            raise UserError("mask_quantile must be in [0, 1]")


# Fitted on two CPU cores in about three minutes, on slices of a quarter of the pixels [ours].
QUICK_FLOW: dict[str, Any] = {
    "levels": 3,  # 72 x 88 halves three times
    "steps": 3,
    "hidden": 32,
    "blocks": 1,
    # Without positions, a flow this small does not learn the shape of a head.
    "positions": True,
    # The density of the black background is a spike as narrow as one grey level, which
    # a few hundred steps do not learn at 12 bits. The loop removes the noise again, so coarse
    # levels lose nothing.
    "grey_levels": 31,
    "training_steps": 800,
    "batch_size": 8,
    "learning_rate": 4e-3,
    "max_gradient_norm": 50.0,
    "flips": True,  # a dozen subjects are few
    "mixed_precision": False,  # the quick numbers are those of any CPU
    "validate_every": 100,
    "validation_slices": 50,
    "slices_at_once": 26,
}

# For `harmbench check`: fitted within a second [ours].
TINY_FLOW: dict[str, Any] = QUICK_FLOW | {
    "levels": 2,
    "steps": 1,
    "hidden": 8,
    "bins": 4,
    "training_steps": 10,
    "validate_every": 5,
    "validation_slices": 4,
}

PRESETS = {
    "paper": BlindHarmonyConfig(),
    "quick": BlindHarmonyConfig(
        **QUICK_FLOW,
        # Shrinking the latent moves towards the mode, which is flatter than any brain. On real
        # brains a tenth of the paper's alpha costs 0.2 to 1.0 dB; this value costs 0.4 dB on
        # sim-exp.
        alpha=3e-5,
        # The gradient of Eq. 1 is proportional to 1/|x|, so the step relative to the image is
        # beta1 / |x|^2, and |x|^2 is proportional to the number of pixels. With a quarter of
        # the pixels, the paper's beta1 would give steps four times as long, which overshoot.
        # The step of Eq. 2 is an intensity per pixel and does not change.
        beta1=1e3 / 4,
    ),
    "tiny": BlindHarmonyConfig(**TINY_FLOW, alpha=3e-5, beta1=1e3 / 16, iterations=3),
}
