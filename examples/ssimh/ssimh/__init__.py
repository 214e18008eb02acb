"""SSIMH (Guan et al. 2022): a plugin of harmbench."""

from __future__ import annotations

from harmbench import hookimpl


@hookimpl
def register_methods() -> dict[str, str]:
    """Register the method."""
    return {"ssimh": "ssimh.method:SSIMH"}
