"""What the harness itself registers, through the same hooks as everybody."""

from __future__ import annotations

from harmbench.hookspecs import hookimpl


@hookimpl
def register_cohorts() -> dict[str, str]:
    """The embedded phantom, OASIS-3, and any other study on disk."""
    return {
        "phantom": "harmbench.cohorts.phantom.source:Phantom",
        "oasis3": "harmbench.cohorts.bids.source:Oasis3",
        "bids": "harmbench.cohorts.bids.source:Bids",
        "csv": "harmbench.cohorts.csv_list:Listed",
    }


@hookimpl
def register_metrics() -> dict[str, str]:
    """Image metrics against a reference, intensities against the population, and overlap."""
    image = "harmbench.metrics.image"
    distribution = "harmbench.metrics.distribution"
    overlap = "harmbench.metrics.overlap"
    return {
        "psnr": f"{image}:PSNR",
        "psnr_foreground": f"{image}:PSNRForeground",
        "ssim": f"{image}:SSIM",
        "ssim_foreground": f"{image}:SSIMForeground",
        "mae": f"{image}:MAE",
        "mae_foreground": f"{image}:MAEForeground",
        "ncc": f"{image}:NCC",
        "ncc_foreground": f"{image}:NCCForeground",
        "wasserstein": f"{distribution}:Wasserstein",
        "gm_wm_contrast": f"{distribution}:GMWMContrast",
        "gm_wm_contrast_error": f"{distribution}:GMWMContrastError",
        "dice": f"{overlap}:Dice",
        "iou": f"{overlap}:IoU",
        "hd95": f"{overlap}:HD95",
        "surface_distance": f"{overlap}:SurfaceDistance",
        "volume_difference": f"{overlap}:VolumeDifference",
    }
