"""Tables in LaTeX, for papers."""

from __future__ import annotations

from harmbench.leaderboard.printed_table import Field, PrintedTable

# Characters that LaTeX interprets, or that its usual fonts lack.
_ESCAPES = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    # After a line break, a bracket would begin an optional argument.
    "[": "{[}",
    "]": "{]}",
    "<": r"$<$",
    ">": r"$>$",
    "∞": r"$\infty$",
    "±": r"$\pm$",
    "×": r"$\times$",
    "−": r"$-$",
    "≤": r"$\leq$",
    "≥": r"$\geq$",
    "Δ": r"$\Delta$",
    "→": r"$\to$",
    "°": r"$^\circ$",
    "†": r"\dag{}",
    "‡": r"\ddag{}",
    "§": r"\S{}",
    "¶": r"\P{}",
    "—": "---",
    "…": r"\dots{}",
}


def as_latex(table: PrintedTable) -> str:
    """Write a table as LaTeX with the package booktabs.

    The best fields are bold. Intervals stand in small type below their numbers, and the notes
    below the table: they explain the letters, and name the number of subjects.
    """
    columns = "l" + "r" * (len(table.headings) - 1)
    lines = [
        r"% Needs \usepackage{booktabs}.",
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{escaped(table.title)}}}",
        rf"\begin{{tabular}}{{{columns}}}",
        r"\toprule",
        " & ".join(escaped(heading) for heading in table.headings) + r" \\",
        r"\midrule",
        *(" & ".join(_field(field) for field in row) + r" \\" for row in table.rows),
        r"\bottomrule",
        r"\end{tabular}",
    ]
    notes = [escaped(line.strip()) for line in table.below if line.strip()]
    if notes:
        lines += [r"\par\smallskip", r"\begin{minipage}{\linewidth}\footnotesize"]
        lines += [" \\\\\n".join(notes), r"\end{minipage}"]
    return "\n".join([*lines, r"\end{table}"])


def escaped(text: str) -> str:
    r"""Escape a text.

    Examples
    --------
    >>> escaped("gm_wm at 95 %")
    'gm\\_wm at 95 \\%'
    """
    return "".join(_ESCAPES.get(character, character) for character in text)


def _field(field: Field) -> str:
    """Return a field, what follows the number in small type."""
    number, bracket, interval = field.text.partition(" [")
    text = escaped(number)
    if field.best:
        text = rf"\textbf{{{text}}}"
    return text + (rf" {{\scriptsize {escaped(bracket.strip() + interval)}}}" if bracket else "")
