"""The built-in methods."""

from __future__ import annotations

from harmbench import hookimpl


@hookimpl
def register_methods() -> dict[str, str]:
    """Register controls, baselines and published methods."""
    return {
        "identity": "harmbench_methods.identity:Identity",
        "oracle": "harmbench_methods.oracle:Oracle",
        "scale": "harmbench_methods.scale:Scale",
        "histogram": "harmbench_methods.histogram:Histogram",
        "unet": "harmbench_methods.unet:UNetMethod",
        "cyclegan": "harmbench_methods.cyclegan:CycleGAN",
        "blindharmony": "harmbench_methods.blindharmony.method:BlindHarmony",
        "blindharmony-ml": "harmbench_methods.blindharmony_ml.method:BlindHarmonyLikelihood",
        "blindcurve": "harmbench_methods.blindcurve.method:BlindCurve",
    }


@hookimpl
def register_figures() -> dict[str, str]:
    """Register the figures of the methods' papers, and of what methods do to scans."""
    blindharmony = "harmbench_methods.blindharmony.figures"
    return {
        "samples": f"{blindharmony}:Samples",
        "terms": f"{blindharmony}:Terms",
        "maps": "harmbench_methods.blindcurve.figures:Maps",
    }
