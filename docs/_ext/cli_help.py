"""Help texts as they are in a terminal: what sphinx-click takes for markup is taken for text."""

from __future__ import annotations

import inspect

import click
from sphinx.application import Sphinx


def describe(app: Sphinx, context: click.Context, lines: list[str]) -> None:
    """Replace the description: paragraphs that are not to be wrapped become blocks of code."""
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
    """Let the stars of globs in options be stars."""
    lines[:] = escaped(lines)


def escaped(lines: list[str]) -> list[str]:
    """Return lines whose stars are no markup."""
    return [line.replace("*", r"\*") for line in lines]


def setup(app: Sphinx) -> dict[str, bool]:
    """Listen to sphinx-click."""
    app.setup_extension("sphinx_click")
    app.connect("sphinx-click-process-description", describe)
    app.connect("sphinx-click-process-options", escape)
    return {"parallel_read_safe": True}
