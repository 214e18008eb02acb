"""Fixtures of bundles, for this folder."""

from __future__ import annotations

from helpers.bundles import bundle, prepared, real

__all__ = ["bundle", "prepared", "real"]
