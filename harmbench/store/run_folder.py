"""The folder of a run."""

from __future__ import annotations

from pathlib import Path

ENDED = "ended"


def has_ended(folder: Path) -> bool:
    """Return whether every cell of a run has ended, with any status."""
    return (folder / ENDED).exists()
