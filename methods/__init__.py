"""The built-in methods."""

from __future__ import annotations

from harmbench import Lazy, hookimpl


@hookimpl
def register_methods() -> dict[str, Lazy]:
    """Register controls, baselines, and BlindHarmony with its variants."""
    return _controls() | _baselines() | _blind()


def _controls() -> dict[str, Lazy]:
    return {
        "identity": Lazy(
            "harmbench_methods.identity:Identity",
            summary="leaves scans as they are; bounds the scale from below",
            needs="NOTHING",
            control="floor",
        ),
        "rescan": Lazy(
            "harmbench_methods.rescan:Rescan",
            summary=(
                "returns a repeat scan of the subject on the target scanner; the reference line"
            ),
            needs="REPEAT",
            control="ceiling",
        ),
        "oracle": Lazy(
            "harmbench_methods.oracle:Oracle",
            summary="returns the paired truth; bounds the scale from above",
            needs="TRUTH",
            control="ceiling",
        ),
    }


def _baselines() -> dict[str, Lazy]:
    return {
        "scale": Lazy(
            "harmbench_methods.scale:Scale",
            summary="scales each slice to the target population's mean norm",
            needs="TARGET",
        ),
        "histogram": Lazy(
            "harmbench_methods.histogram:Histogram",
            summary="maps foreground quantiles onto the target population's, volume by volume",
            needs="TARGET",
            reference="https://doi.org/10.1109/42.836373",
        ),
        "n4-whitestripe": Lazy(
            "harmbench_methods.n4_whitestripe:N4WhiteStripe",
            summary="removes the bias field by N4, and scales white matter to a fixed intensity",
            needs="NOTHING",
            reference="https://doi.org/10.1016/j.nicl.2014.08.008",
        ),
        "mean-ratio": Lazy(
            "harmbench_methods.mean_ratio:MeanRatio",
            summary="multiplies by the ratio of the smoothed mean target and mean source images",
            needs="UNPAIRED",
        ),
        "unet": Lazy(
            "harmbench_methods.unet:UNetMethod",
            summary=(
                "a U-Net trained with L1 loss on same-subject pairs of source and target slices"
            ),
            needs="PAIRED",
            reference="https://doi.org/10.1007/978-3-319-24574-4_28",
        ),
        "cyclegan": Lazy(
            "harmbench_methods.cyclegan.method:CycleGAN",
            summary="a CycleGAN trained on slices of the source and the target, without pairs",
            needs="UNPAIRED",
            reference="https://doi.org/10.1109/ICCV.2017.244",
        ),
    }


def _blind() -> dict[str, Lazy]:
    """Methods that are fitted to the target domain only."""
    return {
        "blindharmony": Lazy(
            "harmbench_methods.blindharmony.method:BlindHarmony",
            summary="a flow of the target domain, and ten steps towards the source (ICCV 2023)",
            needs="TARGET",
            published="harmbench_methods.blindharmony.published:TABLE_3",
            reference="arXiv:2305.10732",
        ),
        "blindcurve": Lazy(
            "harmbench_methods.blindcurve.method:BlindCurve",
            summary="one bias field and one curve, by N4 and by the likelihood under a flow",
            needs="TARGET",
            reference="arXiv:2305.10732",
        ),
    }


@hookimpl
def register_figures() -> dict[str, Lazy]:
    """Register figures of the methods' papers, and of the maps that methods apply."""
    blindharmony = "harmbench_methods.blindharmony.figures"
    return {
        "samples": Lazy(
            f"{blindharmony}:Samples",
            summary=(
                "slices drawn from the flow at several temperatures, below real ones (Figure 1)"
            ),
            method="blindharmony",
        ),
        "terms": Lazy(
            f"{blindharmony}:Terms",
            summary=(
                "what Eq. 1 and Eq. 2 see of a pair, and of T1 against T2, which fails (Figure 2)"
            ),
            method="blindharmony",
        ),
        "maps": Lazy(
            "harmbench_methods.blindcurve.figures:Maps",
            summary="the curve and the field that blindcurve maps scans by, and what they do",
            method="blindcurve",
        ),
    }
