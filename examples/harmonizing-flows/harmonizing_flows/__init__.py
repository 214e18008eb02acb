"""Harmonizing Flows (Beizaee et al. 2023): a plugin of harmbench."""

from __future__ import annotations

from harmbench import hookimpl


@hookimpl
def register_methods() -> dict[str, str]:
    """Register the blind method, and the one that adapts over a whole source domain."""
    return {
        "harmonizing-flows": "harmonizing_flows.method:HarmonizingFlows",
        "harmonizing-flows-domain": "harmonizing_flows.domain:HarmonizingFlowsDomain",
    }
