"""Settings and presets of CycleGAN."""

from __future__ import annotations

from dataclasses import dataclass

from harmbench import UserError, at_inference

from .._settings import check_minima, check_positive

# Where the constants below are from:
#   [S 2.3]    the supplement of the BlindHarmony paper, section 2.3 and Table 2
#   [Zhu 2017] Zhu et al. 2017, the CycleGAN that [S 2.3] names, for what it does not specify
#   [ours]     a choice of this project


@dataclass(frozen=True, kw_only=True)
class CycleGANConfig:
    """Settings of the networks and their training; the defaults are the paper's.

    The paper trains on all available scans: 348, 580, 842 and 581 sessions of 50
    slices of domains 1 to 4 against 75,240 slices of the target (Table 2), and on 76,775 of
    each where the shift is simulated. A method does not know its task, so
    the limit is the largest number. For another limit, such as that of domain 1, use
    `--set cyclegan.source_slices=17400`.

    Raises
    ------
    UserError
        If a value is out of range.
    """

    width: int = 64  # [Zhu 2017] a quarter of a residual block's channels
    blocks: int = 9  # [S 2.3] residual blocks
    discriminator_width: int = 64  # [Zhu 2017] channels of the first layer
    residual: bool = False  # [ours] the generator predicts a difference; not in [Zhu 2017]

    source_slices: int = 76_775  # [S 2.3] at most this number; 0 is no limit
    target_slices: int = 76_775  # [S 2.3] at most this number; 0 is no limit
    epochs: int = 40  # [S 2.3] passes through the larger of the two sets
    steps: int = 0  # [ours] training steps in place of epochs, if not 0
    batch_size: int = 1  # [Zhu 2017]
    learning_rate: float = 2e-4  # [S 2.3]; half of the steps constant, then linear to 0 [Zhu 2017]
    momentum: float = 0.5  # [Zhu 2017] Adam's first beta; the second is torch's usual 0.999
    cycle_weight: float = 10.0  # [Zhu 2017] lambda
    identity_weight: float = 0.5  # [Zhu 2017] times lambda
    pool_size: int = 50  # [Zhu 2017] earlier images for the discriminators

    slices_at_once: int = at_inference(50)  # [ours] limits the memory; a scan has 50 slices

    def __post_init__(self) -> None:
        check_minima(self, width=1, blocks=0, discriminator_width=1, source_slices=0)
        check_minima(self, target_slices=0, epochs=1, steps=0, batch_size=1, momentum=0)
        check_minima(self, cycle_weight=0, identity_weight=0, pool_size=0, slices_at_once=1)
        check_positive(self, "learning_rate")
        if not self.momentum < 1:
            raise UserError("momentum must be below 1")


PRESETS = {
    "paper": CycleGANConfig(),
    # Fits in about two minutes on one CPU core, on slices of a quarter of the pixels [ours].
    "quick": CycleGANConfig(
        width=8,
        blocks=4,
        discriminator_width=16,
        residual=True,
        steps=1000,
        learning_rate=1e-3,
    ),
    # For `harmbench check`: fits within a second [ours].
    "tiny": CycleGANConfig(
        width=4, blocks=1, discriminator_width=8, residual=True, steps=10, pool_size=3
    ),
}
