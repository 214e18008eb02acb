"""The folder of a run."""

from __future__ import annotations

from pathlib import Path

ENDED = "ended"


def has_ended(folder: Path) -> bool:
    """Whether every cell of an invocation has ended, in whatever way."""
    return (folder / ENDED).exists()
