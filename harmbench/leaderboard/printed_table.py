"""Tables as lines of a terminal, as Markdown and as HTML."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Literal

from markupsafe import escape

# How a part of the text stands out, where the terminal can show it.
Emphasis = Literal["title", "best", "control", "note"]
Emphasize = Callable[[str, Emphasis], str]

_GAP = 2  # characters between columns


def plain(text: str, _: Emphasis) -> str:
    """Return a text without emphasis."""
    return text


@dataclass(frozen=True)
class Field:
    """One field of a table.

    Attributes
    ----------
    text
        Its text; an interval in brackets goes to a second line in a terminal.
    best
        Whether it is significantly better than another field of its column.
    """

    text: str = ""
    best: bool = False


@dataclass(frozen=True, kw_only=True)
class PrintedTable:
    """A table with a title above and notes below.

    Attributes
    ----------
    title
        One line.
    headings
        Of the columns.
    rows
        Fields by row; the first is the row's name.
    faint
        Whether a row is a control, a variant or a reference value.
    below
        Lines below the table.
    """

    title: str
    headings: Sequence[str]
    rows: Sequence[Sequence[Field]]
    faint: Sequence[bool]
    below: Sequence[str]

    def as_text(self, width: int, emphasize: Emphasize = plain) -> str:
        """Write the table for a terminal of a width in characters.

        A wider table is continued in further tables.
        """
        lines = [
            emphasize(self.title, "title"),
            *self._lines(width, emphasize),
            *(emphasize(line, "note") for line in (*self.below, "")),
        ]
        return "\n".join(lines)

    def as_markdown(self) -> str:
        """Write the table as Markdown, the best fields bold."""
        lines = [
            f"**{self.title}**",
            "",
            f"| {' | '.join(self.headings)} |",
            f"|{'|'.join(['---', *['---:'] * (len(self.headings) - 1)])}|",
        ]
        for row in self.rows:
            texts = (f"**{field.text}**" if field.best else field.text for field in row)
            lines.append(f"| {' | '.join(text.replace('|', chr(92) + '|') for text in texts)} |")
        escaped = (line.strip().replace("*", chr(92) + "*") for line in self.below if line)
        lines += ["", *(f"- {line}" for line in escaped)]
        return "\n".join(lines)

    def as_html(self) -> str:
        """Write the table as HTML, the best fields bold."""
        lines = [f"<table><caption>{escape(self.title)}</caption>", "<thead><tr>"]
        lines += [f'<th scope="col">{escape(heading)}</th>' for heading in self.headings]
        lines.append("</tr></thead><tbody>")
        for row in self.rows:
            first, *fields = row
            lines.append(f'<tr><th scope="row">{escape(first.text)}</th>')
            lines += [
                f"<td>{'<b>' if field.best else ''}{escape(field.text)}"
                f"{'</b>' if field.best else ''}</td>"
                for field in fields
            ]
            lines.append("</tr>")
        lines.append("</tbody></table>")
        lines += ["<ul>", *(f"<li>{escape(line)}</li>" for line in self.below if line), "</ul>"]
        return "\n".join(lines)

    def _lines(self, width: int, emphasize: Emphasize) -> Iterator[str]:
        """Yield the lines of the table, with as many columns at a time as fit."""
        texts = [[field.text.replace(" [", "\n[") for field in row] for row in self.rows]
        for columns in _blocks([self.headings, *texts], width):
            yield "".join(_aligned(self.headings[i], i, wide) for i, wide in columns).rstrip()
            yield "─" * (sum(wide for _, wide in columns) - _GAP)
            for row, row_texts, faint in zip(self.rows, texts, self.faint, strict=True):
                parts = (row_texts[i].split("\n") for i, _ in columns)
                for line in zip_longest(*parts, fillvalue=""):
                    fields = []
                    for text, (i, wide) in zip(line, columns, strict=True):
                        field = _aligned(text, i, wide)
                        if row[i].best:
                            field = emphasize(field, "best")
                        elif faint:
                            field = emphasize(field, "control")
                        fields.append(field)
                    yield "".join(fields).rstrip()
            yield ""


def _aligned(text: str, column: int, width: int) -> str:
    """Pad a text to its column: names to the left, numbers to the right."""
    return text.ljust(width) if column == 0 else text.rjust(width - _GAP) + " " * _GAP


def _blocks(lines: Sequence[Sequence[str]], width: int) -> Iterator[list[tuple[int, int]]]:
    """Yield the columns of each table with their widths; all tables have the first column."""
    widths = [
        max(len(part) for text in column for part in text.split("\n")) + _GAP
        for column in zip(*lines, strict=True)
    ]
    block = [(0, widths[0])]
    for i, wide in enumerate(widths[1:], start=1):
        if len(block) > 1 and sum(column for _, column in block) + wide - _GAP > width:
            yield block
            block = [(0, widths[0])]
        block.append((i, wide))
    yield block
