"""The home folder, which contains all results of harmbench."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from harmbench.errors import UserError


def home() -> Path:
    """Return the home folder: `$HARMBENCH_HOME`, or `~/.harmbench`.

    It holds `cohorts/`, `fits/`, `cells/`, `results/`, the MLflow store and `plugins/`.
    """
    return Path(os.environ.get("HARMBENCH_HOME") or "~/.harmbench").expanduser().resolve()


def writable_home() -> Path:
    """Return the home folder, created if it is missing.

    Raises
    ------
    UserError
        If it cannot be created or written to.
    """
    folder = home()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise UserError(
            f"the home folder {folder} is not writable: {error.strerror}; set HARMBENCH_HOME"
        ) from None
    return folder
