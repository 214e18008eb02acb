"""Stored fits in Python."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from harmbench.contracts.method import Method
from harmbench.execution.compute import fitted
from harmbench.util.home import home as default_home


def load_fitted(
    key: str,
    *,
    home: Path | None = None,
    plugins: Sequence[Path] = (),
    device: torch.device | str = "cpu",
    config: Any = None,
) -> Method:
    """Rebuild a fitted method from the store.

    Parameters
    ----------
    key
        Key of the fit, or its beginning if no other fit has it.
    home
        Folder of the stores; `$HARMBENCH_HOME` or `~/.harmbench` if None.
    plugins
        Single-file plugins that may define the method.
    device
        Device to move the method to.
    config
        Settings that differ from the fit's in what acts at inference only; the fit's with
        the inference settings of its preset if None.

    Returns
    -------
    Method
        In eval mode; call it with `Scans` on the same device.

    Raises
    ------
    UserError
        If no fit or several fits match, the fit is damaged, or the method has changed since.
    """
    home = default_home() if home is None else home
    return fitted.load_fitted(key, home=home, plugins=plugins, device=device, config=config)
