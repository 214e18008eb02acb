"""The ablations, and their results in the paper's supplement."""

from __future__ import annotations

from harmbench import Published

ABLATIONS = {
    "alpha = 0": {"alpha": 0.0},
    "beta1 = 0": {"beta1": 0.0},
    "beta2 = 0": {"beta2": 0.0},
}

# The last row of Table 3, SSIM without Eq. 2, is not in the copy of the supplement that
# these numbers were read from.
TABLE_3 = Published(
    source="Jeong et al., ICCV 2023, supplement, Table 3",
    data="800 slices of OASIS-3",
    values={
        "psnr_slices": {
            "Baseline": {"sim-exp": 29.6, "sim-log": 28.8, "sim-gamma0.7": 27.4},
            "alpha = 0": {"sim-exp": 29.5, "sim-log": 28.5, "sim-gamma0.7": 27.2},
            "beta1 = 0": {"sim-exp": 18.5, "sim-log": 18.5, "sim-gamma0.7": 18.6},
            "beta2 = 0": {"sim-exp": 29.6, "sim-log": 28.8, "sim-gamma0.7": 27.4},
        },
        "ssim_slices": {
            "Baseline": {"sim-exp": 0.985, "sim-log": 0.978, "sim-gamma0.7": 0.969},
            "alpha = 0": {"sim-exp": 0.984, "sim-log": 0.977, "sim-gamma0.7": 0.968},
            "beta1 = 0": {"sim-exp": 0.693, "sim-log": 0.695, "sim-gamma0.7": 0.696},
        },
    },
)
