"""Put the measurements of real scans and of the phantom side by side.

    python -m phantom_calibration.table real.json phantom.json --json FILE --page PAGE.md

The page's text between the two calibration marks is replaced.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from phantom_calibration.rows import REAL_ROWS, ROWS, Row

BEGIN, END = "<!-- calibration table: begin -->", "<!-- calibration table: end -->"

Sites = Mapping[str, dict[str, Any]]


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("real", type=Path, help="JSON that measure.py wrote for real scans")
    parser.add_argument("phantom", type=Path, nargs="?", help="the same for the phantom")
    parser.add_argument("--json", type=Path, help="write both to this file")
    parser.add_argument("--page", type=Path, help="write the tables into this Markdown page")
    options = parser.parse_args()
    files = {"real": options.real} | ({"phantom": options.phantom} if options.phantom else {})
    measured = {name: json.loads(path.read_text()) for name, path in files.items()}
    text = tables(measured["real"]["sites"], measured.get("phantom", {}).get("sites", {}))
    print(text)
    if options.json:
        options.json.write_text(json.dumps(measured, indent=1) + "\n")
    if options.page:
        options.page.write_text(replaced(options.page.read_text(), text))


def tables(real: Sites, phantom: Sites) -> str:
    """Return the tables as Markdown, with a line that names the rows outside the range."""
    sizes = ", ".join(
        f"{name} {site['subjects']} subjects ({site['scans']} scans)"
        for name, site in (*real.items(), *phantom.items())
    )
    parts = [f"Measured on: {sizes}.", main_table(real, phantom)]
    if phantom:
        parts.append(conclusion(real, phantom))
    heads = ["real scans only", *real]
    body = [[row.title, *(shown(row, site) for site in real.values())] for row in REAL_ROWS]
    parts.append(markdown(heads, body))
    return "\n\n".join(parts)


def main_table(real: Sites, phantom: Sites) -> str:
    """Return the table of all rows; the phantom as the range over its scanners."""
    heads = ["quantity", *real, *(["phantom", "within the range"] if phantom else [])]
    body: list[list[str]] = []
    group = ""
    for row in ROWS:
        if row.group != group:
            group = row.group
            body.append([f"**{group}**", *[""] * (len(heads) - 1)])
        line = [row.title, *(shown(row, site) for site in real.values())]
        if phantom:
            line += [shown_range(row, phantom), verdict(row, real, phantom)]
        body.append(line)
    return markdown(heads, body)


def outside(row: Row, real: Sites, phantom: Sites) -> dict[str, str]:
    """Return the scanners of the phantom outside the range of the real sites: above or below."""
    known = [value for site in real.values() if (value := row.value(site)) is not None]
    if not known:
        return {}
    low, high = min(known), max(known)
    values = {name: row.value(site) for name, site in phantom.items()}
    return {
        name: "above" if value > high else "below"
        for name, value in values.items()
        if value is not None and not low <= value <= high
    }


def verdict(row: Row, real: Sites, phantom: Sites) -> str:
    """Return the last column of a row."""
    if not any(row.value(site) is not None for site in phantom.values()):
        return "not measured"
    if not row.judged:
        return "not judged"
    names = outside(row, real, phantom)
    if not names:
        return "yes"
    sides = {
        side: ", ".join(name for name in names if names[name] == side)
        for side in ("below", "above")
    }
    return "no; " + "; ".join(f"{side}: {text}" for side, text in sides.items() if text)


def conclusion(real: Sites, phantom: Sites) -> str:
    """Return the sentence that names the rows with a scanner outside the range."""
    judged = [row for row in ROWS if verdict(row, real, phantom)[:3] in ("yes", "no;")]
    failed = [row for row in judged if outside(row, real, phantom)]
    names = "; ".join(f"{row.group.lower()}: {row.title}" for row in failed)
    listed = f" Rows with a scanner outside: {names}." if failed else ""
    return (
        f"In {len(judged) - len(failed)} of {len(judged)} rows every scanner of the phantom lies "
        f"within the range of the real sites.{listed}"
    )


def shown(row: Row, site: dict[str, Any]) -> str:
    """Return the value of a site as text; a dash where it has none."""
    value = row.value(site)
    return "-" if value is None else f"{value:.{row.digits}f}"


def shown_range(row: Row, sites: Sites) -> str:
    """Return smallest and largest value over sites as text."""
    values = [value for site in sites.values() if (value := row.value(site)) is not None]
    if not values:
        return "-"
    low, high = (f"{end(values):.{row.digits}f}" for end in (min, max))
    return low if low == high else f"{low} to {high}"


def markdown(heads: Sequence[str], body: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table; all columns but the first are aligned to the right."""
    lines = [heads, ["---", *["---:"] * (len(heads) - 1)], *body]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def replaced(page: str, text: str) -> str:
    """Return the page with the text between the marks replaced.

    Raises
    ------
    ValueError
        If the page does not have the two marks in this order.
    """
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"the page has no marks '{BEGIN}' and '{END}'; add them")
    return f"{before}{BEGIN}\n{text}\n{END}{after}"


if __name__ == "__main__":
    main()
