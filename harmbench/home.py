"""The one folder where harmbench keeps what it has computed."""

from __future__ import annotations

import os
from pathlib import Path


def home() -> Path:
    """Return the home folder: `$HARMBENCH_HOME`, or `~/.harmbench`.

    It holds `cohorts/`, `fits/`, `cells/`, the MLflow store and `plugins/`.
    """
    return Path(os.environ.get("HARMBENCH_HOME") or "~/.harmbench").expanduser().resolve()
