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
            sources=("domain1", "domain2", "domain3", "domain4"),
        ),
        "oasis3": Lazy(
            "harmbench.cohorts.bids.source:Oasis3",
            summary=(
                "OASIS-3 as distributed (oasis3:PATH), its scanners as the paper's five domains"
            ),
        ),
        "on-harmony": Lazy(
            "harmbench.cohorts.bids.shipped:OnHarmony",
            summary="ON-Harmony (ds004712), 20 subjects on 8 scanners: on-harmony:PATH",
        ),
        "spins-travellers": Lazy(
            "harmbench.cohorts.bids.shipped:SpinsTravellers",
            summary="SPINS travelling phantoms (ds003011), 4 subjects on 6 scanners",
        ),
        "traveling-human-phantom": Lazy(
            "harmbench.cohorts.bids.shipped:TravelingHumanPhantom",
            summary="Traveling Human Phantom (ds000206), 5 subjects at 8 sites",
        ),
        "srpbs-ts": Lazy(
            "harmbench.cohorts.bids.shipped:SrpbsTravellers",
            summary="SRPBS traveling subjects, 9 subjects on 12 scanners: srpbs-ts:PATH",
        ),
        "simon": Lazy(
            "harmbench.cohorts.bids.shipped:Simon",
            summary="SIMON, one subject on many scanners, for testing alone: simon:PATH",
        ),
        "bids": Lazy(
            "harmbench.cohorts.bids.source:Bids",
            summary="the scans of a BIDS folder, heads or brains; domains by --recipe",
        ),
        "csv": Lazy(
            "harmbench.cohorts.csv_list:Listed",
            summary=(
                "scans from a CSV file; columns path, subject, session, "
                "domain[, mask, labels, split]"
            ),
        ),
    }


@hookimpl
def register_metrics() -> dict[str, Lazy]:
    """Image metrics against a reference, intensities against the population, and overlap."""
    return _image_metrics() | _anatomy_metrics() | _distribution_metrics() | _overlap_metrics()


def _image_metrics() -> dict[str, Lazy]:
    """Image metrics against a reference."""
    image = "harmbench.metrics.image"
    return {
        "psnr": Lazy(
            f"{image}:PSNR",
            summary="peak signal-to-noise ratio over the scan's foreground, one mean squared error",
            unit="dB",
            higher_is_better=True,
            purpose="ranking",
        ),
        "psnr_slices": Lazy(
            f"{image}:PSNRSlices",
            summary="peak signal-to-noise ratio of whole slices, averaged in dB, as in papers",
            unit="dB",
            higher_is_better=True,
            purpose="published",
        ),
        "ssim": Lazy(
            f"{image}:SSIM",
            summary="mean of the structural similarity map over the scan's foreground",
            higher_is_better=True,
            purpose="detail",
            reference="https://doi.org/10.1109/TIP.2003.819861",
        ),
        "ssim_slices": Lazy(
            f"{image}:SSIMSlices",
            summary="structural similarity of whole slices, as in papers and scikit-image",
            higher_is_better=True,
            purpose="published",
            reference="https://doi.org/10.1109/TIP.2003.819861",
        ),
        "ms_ssim": Lazy(
            "harmbench.metrics.multiscale:MSSSIM",
            summary="multi-scale structural similarity of slices, at three scales",
            higher_is_better=True,
            purpose="detail",
            reference="https://doi.org/10.1109/ACSSC.2003.1292216",
        ),
        "mae": Lazy(
            f"{image}:MAE",
            summary="mean absolute error over the scan's foreground",
            higher_is_better=False,
            purpose="detail",
        ),
        "ncc": Lazy(
            f"{image}:NCC",
            summary="normalised cross-correlation over the scan's foreground",
            higher_is_better=True,
            purpose="detail",
        ),
    }


def _anatomy_metrics() -> dict[str, Lazy]:
    """Metrics of structure against the truth and against the scan's own source."""
    anatomy = "harmbench.metrics.anatomy"
    return {
        "nmi": Lazy(
            f"{anatomy}:NMI",
            summary="normalised mutual information with the reference, in the scan's foreground",
            higher_is_better=True,
            purpose="detail",
            reference="https://doi.org/10.1016/S0031-3203(98)00091-0",
        ),
        "sharpness": Lazy(
            f"{anatomy}:Sharpness",
            summary="sharpness relative to the reference: 1 is equal, less is blurred",
            higher_is_better=True,
            purpose="diagnostic",
        ),
        "nmi_source": Lazy(
            f"{anatomy}:NMISource",
            summary=(
                "normalised mutual information with the scan's own source: is its anatomy kept?"
            ),
            higher_is_better=True,
            purpose="diagnostic",
            reference="https://doi.org/10.1016/S0031-3203(98)00091-0",
        ),
        "gradient_correlation_source": Lazy(
            f"{anatomy}:GradientCorrelationSource",
            summary="correlation of gradient magnitudes with the scan's own source",
            higher_is_better=True,
            purpose="diagnostic",
        ),
        "hallucination": Lazy(
            f"{anatomy}:Hallucination",
            summary="edges of the harmonised scan that are neither in its source nor in the truth",
            higher_is_better=False,
            purpose="diagnostic",
        ),
    }


def _distribution_metrics() -> dict[str, Lazy]:
    """Metrics of intensities against the target population."""
    distribution = "harmbench.metrics.distribution"
    return {
        "wasserstein": Lazy(
            f"{distribution}:Wasserstein",
            summary="distance of the foreground's intensities to the target population's",
            higher_is_better=False,
            purpose="diagnostic",
        ),
        "gm_wm_contrast": Lazy(
            f"{distribution}:GMWMContrast",
            summary="contrast-to-noise ratio of grey and white matter, where labels exist",
            higher_is_better=True,
            purpose="diagnostic",
        ),
        "gm_wm_contrast_error": Lazy(
            f"{distribution}:GMWMContrastError",
            summary=(
                "absolute difference of the grey-white contrast to the target population's mean"
            ),
            higher_is_better=False,
            purpose="diagnostic",
        ),
    }


def _overlap_metrics() -> dict[str, Lazy]:
    """Metrics of overlap with the true labels."""
    overlap = "harmbench.metrics.overlap"
    return {
        "dice": Lazy(
            f"{overlap}:Dice",
            summary="overlap of predicted and true white matter (Dice coefficient)",
            higher_is_better=True,
            purpose="ranking",
        ),
        "iou": Lazy(
            f"{overlap}:IoU",
            summary="intersection over union of predicted and true white matter",
            higher_is_better=True,
            purpose="detail",
        ),
        "hd95": Lazy(
            f"{overlap}:HD95",
            summary="95th percentile Hausdorff distance of predicted and true white matter",
            unit="mm",
            higher_is_better=False,
            purpose="detail",
        ),
        "surface_distance": Lazy(
            f"{overlap}:SurfaceDistance",
            summary="average symmetric surface distance of predicted and true white matter",
            unit="mm",
            higher_is_better=False,
            purpose="detail",
        ),
        "volume_difference": Lazy(
            f"{overlap}:VolumeDifference",
            summary="absolute difference of predicted and true white-matter volume",
            unit="%",
            higher_is_better=False,
            purpose="detail",
        ),
    }
