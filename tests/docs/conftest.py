"""The fixture of the pages, for this folder."""

from __future__ import annotations

from helpers.pages import page

__all__ = ["page"]
