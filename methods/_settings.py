"""Checks of settings that several methods make."""

from __future__ import annotations

from typing import Any

from harmbench import UserError


def check_minima(config: Any, **minima: float) -> None:
    """Raise a `UserError` for a setting below its minimum."""
    for name, value in minima.items():
        if getattr(config, name) < value:
            raise UserError(f"{name} must be at least {value}")


def check_positive(config: Any, *names: str) -> None:
    """Raise a `UserError` for a setting that is not above 0."""
    for name in names:
        if not getattr(config, name) > 0:
            raise UserError(f"{name} must be positive")
