"""ComBat for every voxel: a plugin of harmbench."""

from __future__ import annotations

from harmbench import Lazy, hookimpl


@hookimpl
def register_methods() -> dict[str, Lazy]:
    """Register the method."""
    return {
        "combat-voxel": Lazy(
            "combat_voxel.method:ComBatVoxel",
            summary="location and scale of every voxel by empirical Bayes, target as reference",
            needs="UNPAIRED",
        )
    }
