"""Fixtures of the command line, for this folder."""

from __future__ import annotations

from helpers.command_line import command, inside, mistake, start

__all__ = ["command", "inside", "mistake", "start"]
