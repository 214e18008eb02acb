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
        If it or one of its folders cannot be written to. Links are not checked: they may lead
        to prepared data that several users read.
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
    for part in folder.iterdir():
        if part.is_dir() and not part.is_symlink() and not os.access(part, os.W_OK):
            raise UserError(f"the folder {part} is not writable; set HARMBENCH_HOME")
    return folder
