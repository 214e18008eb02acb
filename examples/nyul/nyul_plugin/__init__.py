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
        )
    }
