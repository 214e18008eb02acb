"""Put the measurements of real scans and of the phantom side by side.

    python -m phantom_calibration.table real.json phantom.json --json FILE --page PAGE.md

The page's text between the two calibration marks is replaced.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from phantom_calibration.rows import REAL_ROWS, ROWS, Row

BEGIN, END = "<!-- calibration table: begin -->", "<!-- calibration table: end -->"

Sites = Mapping[str, dict[str, Any]]


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "real", type=Path, help="JSON that measure.py wrote for real scans, or an earlier --json"
    )
    parser.add_argument("phantom", type=Path, nargs="?", help="the same for the phantom")
    parser.add_argument("--json", type=Path, help="write both to this file")
    parser.add_argument("--page", type=Path, help="write the tables into this Markdown page")
    options = parser.parse_args()
    files = {"real": options.real} | ({"phantom": options.phantom} if options.phantom else {})
    measured = {name: measurements(path, name) for name, path in files.items()}
    text = tables(measured["real"]["sites"], measured.get("phantom", {}).get("sites", {}))
    print(text)
    if options.json:
        options.json.write_text(json.dumps(measured, indent=1) + "\n")
    if options.page:
        options.page.write_text(replaced(options.page.read_text(), text))


def measurements(path: Path, part: str) -> dict[str, Any]:
    """Read what measure.py wrote, or the same part of a file that this program wrote."""
    content: dict[str, Any] = json.loads(path.read_text())
    found: dict[str, Any] = content.get(part, content)
    return found


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


class Deviation(NamedTuple):
    """A scanner of the phantom outside the range of the real sites.

    Attributes
    ----------
    side
        `"below"` or `"above"`.
    explained
        Whether the distance to the nearest real site is within two standard errors.
    """

    side: str
    explained: bool


def outside(row: Row, real: Sites, phantom: Sites) -> dict[str, Deviation]:
    """Return the scanners of the phantom outside the range of the real sites."""
    known = {name: value for name, site in real.items() if (value := row.value(site)) is not None}
    if not known:
        return {}
    low, high = min(known, key=known.__getitem__), max(known, key=known.__getitem__)
    found = {}
    for name, site in phantom.items():
        value = row.value(site)
        if value is None or known[low] <= value <= known[high]:
            continue
        side, nearest = ("below", low) if value < known[low] else ("above", high)
        error = math.hypot(row.error(real[nearest]), row.error(site))
        found[name] = Deviation(side, abs(value - known[nearest]) <= 2 * error)
    return found


def verdict(row: Row, real: Sites, phantom: Sites) -> str:
    """Return the last column of a row: yes, within error, or no with the scanners outside."""
    if not any(row.value(site) is not None for site in phantom.values()):
        return "not measured"
    if not row.judged:
        return "not judged"
    deviations = outside(row, real, phantom)
    if not deviations:
        return "yes"
    clear = {name: item.side for name, item in deviations.items() if not item.explained}
    if not clear:
        return "within error"
    if len(set(clear.values())) == 1 and len(clear) == len(phantom):
        return f"no, all {next(iter(clear.values()))}"
    return "no, " + "; ".join(f"{name} {side}" for name, side in clear.items())


def conclusion(real: Sites, phantom: Sites) -> str:
    """Return the sentences that count the rows and name those outside the range."""
    verdicts = {row: verdict(row, real, phantom) for row in ROWS}
    counts = dict.fromkeys(("yes", "within error", "no"), 0)
    for text in verdicts.values():
        word = text.partition(",")[0]
        if word in counts:
            counts[word] += 1
    failed = [row for row, text in verdicts.items() if text.startswith("no,")]
    names = "; ".join(f"{row.group.lower()}: {row.title}" for row in failed)
    return (
        f"Of {sum(counts.values())} judged rows, every scanner of the phantom lies within the "
        f"range of the real sites in {counts['yes']}, and within two standard errors of it in "
        f"{counts['within error']} more. Outside in {counts['no']} rows: {names or 'none'}."
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
