"""What the harness itself registers, through the same hooks as everybody."""

from __future__ import annotations

from harmbench.hookspecs import hookimpl
from harmbench.util.lazy import Lazy


@hookimpl
def register_cohorts() -> dict[str, Lazy]:
    """The embedded phantom, OASIS-3, and any other study on disk."""
    return {
        "phantom": Lazy(
            "harmbench.cohorts.phantom.source:Phantom",
            summary=(
                "MNI152 anatomy deformed into N subjects (phantom:N), "
                "each on Table 1's five scanners"
            ),
        ),
        "oasis3": Lazy(
            "harmbench.cohorts.bids.source:Oasis3",
            summary=(
                "OASIS-3 as distributed (oasis3:PATH), its scanners as the paper's five domains"
            ),
        ),
        "bids": Lazy(
            "harmbench.cohorts.bids.source:Bids",
            summary="the scans of a BIDS folder, brain-extracted or masked; domains by --recipe",
        ),
        "csv": Lazy(
            "harmbench.cohorts.csv_list:Listed",
            summary=(
                "scans from a CSV file; columns path, subject, session, domain[, mask, labels]"
            ),
        ),
    }


@hookimpl
def register_metrics() -> dict[str, Lazy]:
    """Image metrics against a reference, intensities against the population, and overlap."""
    return _image_metrics() | _distribution_metrics() | _overlap_metrics()


def _image_metrics() -> dict[str, Lazy]:
    """Image metrics against a reference."""
    image = "harmbench.metrics.image"
    return {
        "psnr": Lazy(
            f"{image}:PSNR", summary="peak signal-to-noise ratio over the whole slice", unit="dB"
        ),
        "psnr_foreground": Lazy(
            f"{image}:PSNRForeground",
            summary="peak signal-to-noise ratio within the reference's foreground",
            unit="dB",
        ),
        "ssim": Lazy(
            f"{image}:SSIM",
            summary="structural similarity over the whole slice, as scikit-image defines it",
        ),
        "ssim_foreground": Lazy(
            f"{image}:SSIMForeground",
            summary="mean of the structural similarity map over the reference's foreground",
        ),
        "mae": Lazy(f"{image}:MAE", summary="mean absolute error over the whole slice"),
        "mae_foreground": Lazy(
            f"{image}:MAEForeground",
            summary="mean absolute error within the reference's foreground",
        ),
        "ncc": Lazy(f"{image}:NCC", summary="normalised cross-correlation over the whole slice"),
        "ncc_foreground": Lazy(
            f"{image}:NCCForeground",
            summary="normalised cross-correlation within the reference's foreground",
        ),
    }


def _distribution_metrics() -> dict[str, Lazy]:
    """Metrics of intensities against the target population."""
    distribution = "harmbench.metrics.distribution"
    return {
        "wasserstein": Lazy(
            f"{distribution}:Wasserstein",
            summary="distance of the foreground's intensities to the target population's",
        ),
        "gm_wm_contrast": Lazy(
            f"{distribution}:GMWMContrast",
            summary="contrast-to-noise ratio of grey and white matter, where labels exist",
        ),
        "gm_wm_contrast_error": Lazy(
            f"{distribution}:GMWMContrastError",
            summary=(
                "absolute difference of the grey-white contrast to the target population's mean"
            ),
        ),
    }


def _overlap_metrics() -> dict[str, Lazy]:
    """Metrics of overlap with the true labels."""
    overlap = "harmbench.metrics.overlap"
    return {
        "dice": Lazy(
            f"{overlap}:Dice",
            summary="overlap of predicted and true white matter (Dice coefficient)",
        ),
        "iou": Lazy(
            f"{overlap}:IoU", summary="intersection over union of predicted and true white matter"
        ),
        "hd95": Lazy(
            f"{overlap}:HD95",
            summary="95th percentile Hausdorff distance of predicted and true white matter",
            unit="mm",
        ),
        "surface_distance": Lazy(
            f"{overlap}:SurfaceDistance",
            summary="average symmetric surface distance of predicted and true white matter",
            unit="mm",
        ),
        "volume_difference": Lazy(
            f"{overlap}:VolumeDifference",
            summary="absolute difference of predicted and true white-matter volume",
            unit="%",
        ),
    }
