"""Tables in LaTeX: escaped, with intervals and notes; compiled where LaTeX is installed."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest

from harmbench.leaderboard.latex import as_latex
from harmbench.leaderboard.printed_table import Field, PrintedTable

TABLE = PrintedTable(
    title="psnr in dB & more_",
    headings=["method", "task_1", "rank"],
    rows=[
        [Field("a[b=1] *"), Field("27.42 a [26.90, 27.95] ×2", best=True), Field("")],
        [Field("b"), Field("25.10 b [24.00, 26.10]"), Field("∞")],
        [Field("c"), Field("17.21", best=True), Field("1.0 [1.0, 1.0]")],
    ],
    faint=[True, False, False],
    below=["a, b: share a letter (5 % level, 8 subjects)", "", "[ ]: 95 % interval", "† x"],
)


def test_every_row_has_all_columns_and_intervals_are_small():
    text = as_latex(TABLE)
    body = text.split(r"\midrule")[1].split(r"\bottomrule")[0].strip().splitlines()
    assert len(body) == 3
    assert all(len(re.findall(r"(?<!\\)&", line)) == 2 for line in body)
    assert body[1] == r"b & 25.10 b {\scriptsize {[}24.00, 26.10{]}} & $\infty$ \\"
    assert body[2].startswith(r"c & \textbf{17.21} & 1.0 {\scriptsize {[}1.0, 1.0{]}}")


def test_text_is_escaped_and_notes_are_below():
    text = as_latex(TABLE)
    assert r"psnr in dB \& more\_" in text
    assert r"5 \% level, 8 subjects" in text
    assert r"\dag{} x" in text
    # As an optional argument of the line break, it would be an error.
    assert "\n[" not in text
    assert text.isascii()


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="LaTeX is not installed")
def test_latex_compiles_the_table(tmp_path):
    document = (
        r"\documentclass{article}\usepackage{booktabs}\begin{document}"
        f"\n{as_latex(TABLE)}\n"
        r"\end{document}"
    )
    (tmp_path / "table.tex").write_text(document)
    done = subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "table.tex"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:]
