"""Checks of settings that several methods make."""

from __future__ import annotations

from typing import Any

from harmbench import UserError


def check_least(config: Any, **least: float) -> None:
    """Raise a `UserError` for a setting below its least value."""
    for name, value in least.items():
        if getattr(config, name) < value:
            raise UserError(f"{name} must be at least {value}")
