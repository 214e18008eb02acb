"""Checks of settings that several methods make."""

from __future__ import annotations

from typing import Any

from harmbench import UserError


def check_minima(config: Any, **minima: float) -> None:
    """Raise a `UserError` for a setting below its minimum."""
    for name, value in minima.items():
        if getattr(config, name) < value:
            raise UserError(f"{name} must be at least {value}")
