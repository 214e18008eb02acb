"""The `dataset_description.json` of a study: whether its scans are simulated."""

from __future__ import annotations

import json
from pathlib import Path

from harmbench.errors import UserError

NAME = "dataset_description.json"
_KEY = "Simulated"


def says_simulated(root: Path) -> bool:
    """Return whether a study's description marks its scans as simulated: `"Simulated": true`.

    The mark stays with the files, so it also holds for a recipe that was written for real scans
    in the same layout. BIDS permits further keys in this file. A file that is missing, or is no
    JSON object, marks nothing.

    Raises
    ------
    UserError
        If the mark is neither true nor false.
    """
    path = root / NAME
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return False
    mark = content.get(_KEY, False) if isinstance(content, dict) else False
    if not isinstance(mark, bool):
        raise UserError(f'{path}: "{_KEY}" is {json.dumps(mark)}; expected: true or false')
    return mark
