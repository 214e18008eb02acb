"""Show help texts as in a terminal: escape characters that sphinx-click treats as markup."""

from __future__ import annotations

import inspect

import click
from sphinx.application import Sphinx


def describe(app: Sphinx, context: click.Context, lines: list[str]) -> None:
    """Replace the description: paragraphs without wrapping become blocks of code."""
    text = inspect.cleandoc(context.command.help or "")
    lines.clear()
    for paragraph in text.split("\n\n"):
        if paragraph.startswith("\b\n"):
            lines += [".. code-block:: console", ""]
            lines += [f"   {line}" for line in paragraph.splitlines()[1:]]
        else:
            lines += escaped(paragraph.splitlines())
        lines.append("")


def escape(app: Sphinx, context: click.Context, lines: list[str]) -> None:
    """Escape the asterisks of globs in options."""
    lines[:] = escaped(lines)


def escaped(lines: list[str]) -> list[str]:
    """Return lines with escaped asterisks."""
    return [line.replace("*", r"\*") for line in lines]


def setup(app: Sphinx) -> dict[str, bool]:
    """Connect to the events of sphinx-click."""
    app.setup_extension("sphinx_click")
    app.connect("sphinx-click-process-description", describe)
    app.connect("sphinx-click-process-options", escape)
    return {"parallel_read_safe": True}
