"""Pages of the documentation, split into blocks of code."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from helpers import ROOT

_BLOCK = re.compile(r"^```([a-z]+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Page:
    """A page in Markdown."""

    path: Path

    @property
    def text(self) -> str:
        return self.path.read_text(encoding="utf-8")

    @property
    def headings(self) -> list[str]:
        """Names in backticks in headings."""
        return re.findall(r"^#+ `(\w+)`$", self.text, re.MULTILINE)

    def blocks(self, language: str) -> list[str]:
        """All blocks of a language, in order."""
        return [code for name, code in _BLOCK.findall(self.text) if name == language]

    @property
    def steps(self) -> list[tuple[str, str]]:
        """All blocks in order, with their languages."""
        return _BLOCK.findall(self.text)


def pages() -> list[Page]:
    """All tested pages: the documentation, README and CONTRIBUTING."""
    own = [ROOT / name for name in ("README.md", "CONTRIBUTING.md")]
    return [Page(path) for path in (*own, *sorted((ROOT / "docs").glob("*.md")))]


@pytest.fixture(scope="session")
def page():
    """Return a page by its name."""
    pages_by_name = {each.path.name: each for each in pages()}
    return pages_by_name.__getitem__
