"""Harmonizing Flows (Beizaee et al. 2023): a plugin of harmbench."""

from __future__ import annotations

from harmbench import Lazy, hookimpl


@hookimpl
def register_methods() -> dict[str, Lazy]:
    """Register the blind method, and its variant that adapts to a source domain."""
    return {
        "harmonizing-flows": Lazy(
            "harmonizing_flows.method:HarmonizingFlows",
            summary=(
                "a U-Net that undoes random contrasts, adapted to each scan by the target's flow"
            ),
            needs="TARGET",
            reference="arXiv:2301.11551",
        ),
        "harmonizing-flows-domain": Lazy(
            "harmonizing_flows.domain:HarmonizingFlowsDomain",
            summary=(
                "harmonizing-flows, adapted to all scans of the source together, as in the paper"
            ),
            needs="UNPAIRED",
            reference="arXiv:2301.11551",
        ),
    }
