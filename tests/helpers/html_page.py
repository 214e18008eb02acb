"""A page of the report, as a browser reads it."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path


class HtmlPage(HTMLParser):
    """Elements with their attributes, and texts."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.source = path.read_text()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.rows: list[list[tuple[str, dict[str, str | None]]]] = []
        self.feed(self.source)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th") and self.rows:
            self.rows[-1].append(("", dict(attrs)))

    def handle_data(self, data):
        self.texts.append(data)
        if self.rows and self.rows[-1]:
            text, attributes = self.rows[-1][-1]
            self.rows[-1][-1] = (text + data, attributes)

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]

    def row(self, label):
        # The ranking has fewer columns than the boards.
        rows = (row for row in self.rows if row and row[0][0].strip().startswith(label))
        return max(rows, key=len)

    @property
    def text(self):
        return " ".join("".join(self.texts).split())
