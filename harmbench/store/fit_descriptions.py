"""Descriptions of the stored fits, which a listing reads without torch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def stored_fits(home: Path) -> dict[str, Mapping[str, Any]]:
    """Return the descriptions of all fitted methods in the store, by key."""
    fits = {}
    for path in sorted((home / "fits").glob("[!.]*/fit.json")):
        try:
            fit = json.loads(path.read_text())
        except (OSError, ValueError):
            continue
        if fit.get("kind", "method") == "method":  # instruments cannot harmonise
            fits[path.parent.name] = fit
    return fits
