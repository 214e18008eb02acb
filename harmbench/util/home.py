"""The one folder where harmbench keeps what it has computed."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from harmbench.errors import UserError


def home() -> Path:
    """Return the home folder: `$HARMBENCH_HOME`, or `~/.harmbench`.

    It holds `cohorts/`, `fits/`, `cells/`, the MLflow store and `plugins/`.
    """
    return Path(os.environ.get("HARMBENCH_HOME") or "~/.harmbench").expanduser().resolve()


def writable_home() -> Path:
    """Return the home folder, made if need be.

    Raises
    ------
    UserError
        If it cannot be made or written to.
    """
    folder = home()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise UserError(
            f"the home folder {folder} cannot be used: {error.strerror}; set HARMBENCH_HOME"
        ) from None
    return folder
