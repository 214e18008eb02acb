"""The paragraph on methods of a paper: generated from results, cited, compiled on one page."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import yaml

from harmbench.api.results import results
from harmbench.leaderboard.bibliography import Bibliography, identifier_of
from harmbench.leaderboard.latex import as_latex
from harmbench.leaderboard.registered import declarations
from harmbench.plugins import Registry
from harmbench.store.results import ResultsStore
from helpers import ROOT
from helpers.scored_cells import cell, scored

pytestmark = pytest.mark.filterwarnings("default")

BASE = np.arange(20.0, 28.0)
GAINS = {"identity": 0.0, "unet": 5.0, "histogram": 3.0, "own_method": 1.0}
DOCUMENT = r"""
\documentclass{article}
\usepackage[T1]{fontenc}
\usepackage[margin=15mm]{geometry}
\usepackage{booktabs,graphicx}
\begin{document}
\input{methods}
\input{table}
\begin{figure}[h]
\includegraphics[width=.6\linewidth]{differences}
\end{figure}
{\small\bibliographystyle{plain}\bibliography{methods}}
\end{document}
"""


@pytest.fixture(scope="module")
def recorded(keep_home):
    writer = ResultsStore(keep_home / "results").writer("harmbench run")
    for task, family in (("sim-exp", "curves"), ("domain1", "scanners")):
        for label, gain in GAINS.items():
            which = cell(label, task, family=family)
            writer.append(which, scored(psnr=BASE + gain, mae=1 / (BASE + gain)))
    writer.close()
    return results(home=keep_home, registry=Registry.discover())


def test_what_was_run_is_named_and_only_that(recorded):
    text, bibtex = recorded.citation()
    assert r"unet~\cite{ronneberger2015unet}" in text
    assert r"histogram~\cite{nyul2000new}" in text
    assert r"own\_method" in text
    assert "3 harmonisation methods" in text
    assert "controls identity" in text
    assert "8 test subjects and 1 seed" in text
    assert "PHANTOM, not real scans" in text
    assert r"sim-exp~\cite{jeong2023blindharmony}" in text
    assert "scored by psnr" in text
    assert "cyclegan" not in text + bibtex
    cited = {key for keys in re.findall(r"\\cite\{([^}]+)\}", text) for key in keys.split(",")}
    assert cited == set(re.findall(r"^@\w+\{([^,]+),", bibtex, re.M))


def test_every_reference_of_a_built_in_plugin_has_a_full_entry():
    registry = Registry.discover()
    declared = {
        entry["reference"]
        for category in ("methods", "tasks", "metrics")
        for entry in declarations(registry, category, ["domain1"]).values()
        if entry["reference"]
    }
    assert len(declared) > 6
    bibliography = Bibliography()
    for reference in declared:
        bibliography.key(reference)
    for entry in bibliography.bibtex().strip().split("\n\n"):
        assert {"author", "title", "year"} <= set(re.findall(r"^  (\w+) = ", entry, re.M)), entry


def test_a_reference_of_a_plugin_is_cited_by_its_identifier():
    bibliography = Bibliography()
    assert bibliography.cite(["https://doi.org/10.5555/abc", "", "arXiv:2401.00001"])
    assert "doi = {10.5555/abc}" in bibliography.bibtex()
    assert "eprint = {2401.00001}" in bibliography.bibtex()
    assert identifier_of("https://arxiv.org/abs/2401.00001") == "{2401.00001}"


def test_harmbench_is_cited_as_in_its_citation_file(recorded):
    known = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    entry = next(e for e in recorded.citation()[1].split("\n\n") if e.startswith("@misc{harmbench"))
    assert known["authors"][0]["name"] in entry
    assert known["title"] in entry.replace("{MR}", "MR")


@pytest.mark.slow
def test_paragraph_table_and_figure_compile_to_one_page(recorded, tmp_path):
    missing = [name for name in ("pdflatex", "bibtex", "pdfinfo") if shutil.which(name) is None]
    if missing:
        pytest.skip(f"needs {', '.join(missing)}")
    text, bibtex = recorded.citation()
    (tmp_path / "methods.tex").write_text(text)
    (tmp_path / "methods.bib").write_text(bibtex)
    (tmp_path / "table.tex").write_text(as_latex(next(recorded.tables())))
    recorded.figure("differences").savefig(tmp_path / "differences.pdf")
    (tmp_path / "paper.tex").write_text(DOCUMENT)
    latex = ("pdflatex", "-interaction=nonstopmode", "-halt-on-error", "paper")
    for command in (latex, ("bibtex", "paper"), latex, latex):
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout[-2000:]
    log = Path(tmp_path / "paper.log").read_text(errors="replace")
    assert "undefined" not in log
    assert "Overfull" not in log
    info = subprocess.run(
        ("pdfinfo", "paper.pdf"), cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert re.search(r"^Pages:\s+1$", info.stdout, re.M)
