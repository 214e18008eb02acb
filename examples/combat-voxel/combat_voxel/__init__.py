"""ComBat for every voxel, on all sites: a plugin of harmbench."""

from __future__ import annotations

from harmbench import Lazy, hookimpl


@hookimpl
def register_methods() -> dict[str, Lazy]:
    """Register the method without and with the subject's age."""
    return {
        "combat-voxel": Lazy(
            "combat_voxel.method:ComBatVoxel",
            summary="location and scale of every voxel and site by neuroCombat",
            needs="SITES",
            reference="https://doi.org/10.1016/j.neuroimage.2017.08.047",
        ),
        "combat-voxel-age": Lazy(
            "combat_voxel.method:ComBatVoxelAge",
            summary="combat-voxel that preserves the effect of age",
            needs="SITES",
            reference="https://doi.org/10.1016/j.neuroimage.2017.08.047",
            covariates=("age",),
        ),
    }
