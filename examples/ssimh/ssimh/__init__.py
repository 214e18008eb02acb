"""SSIMH (Guan et al. 2022): a plugin of harmbench."""

from __future__ import annotations

from harmbench import Lazy, hookimpl


@hookimpl
def register_methods() -> dict[str, Lazy]:
    """Register the method."""
    return {
        "ssimh": Lazy(
            "ssimh.method:SSIMH",
            summary="swaps the amplitudes of low spatial frequencies for a target reference's",
            needs="TARGET",
            reference="https://doi.org/10.1007/978-3-031-21014-3_21",
        )
    }
