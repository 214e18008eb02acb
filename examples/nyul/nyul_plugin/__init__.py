"""Nyul's standard scale of the target's volumes: a plugin of harmbench."""

from __future__ import annotations

from harmbench import Lazy, hookimpl


@hookimpl
def register_methods() -> dict[str, Lazy]:
    """Register the method."""
    return {
        "nyul": Lazy(
            "nyul_plugin.method:Nyul",
            summary="piecewise linear map of percentiles to the target's standard scale",
            needs="TARGET",
            reference="https://doi.org/10.1002/(SICI)1522-2594(199912)42:6<1072::AID-MRM11>3.0.CO;2-M",
        )
    }
