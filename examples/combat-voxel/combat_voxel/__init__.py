"""ComBat at every voxel: a plugin of harmbench."""

from __future__ import annotations

from harmbench import hookimpl


@hookimpl
def register_methods() -> dict[str, str]:
    """Register the method."""
    return {"combat-voxel": "combat_voxel.method:ComBatVoxel"}
