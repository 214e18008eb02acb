"""Boards on the pages of the report: how much of a large one, and published numbers."""

from __future__ import annotations

import re

import pytest

from harmbench.plugins import Registry
from harmbench.report.report import write_report
from harmbench.store.results import ResultsStore
from harmbench.util.progress import Silent
from helpers.html_page import HtmlPage
from helpers.scored_cells import BASE, cell, scored

# MLflow's imports raise deprecation warnings.
pytestmark = pytest.mark.filterwarnings("default")


def test_a_large_board_is_cut_on_the_front_page_and_whole_on_its_own(tmp_path):
    home = tmp_path / "home"
    writer = ResultsStore(home / "results").writer("harmbench run")
    for index in range(130):
        which = cell(f"method-with-a-long-name-{index}", "t0", cohort="large", cohort_key="l")
        writer.append(which, scored(psnr=BASE + index))
    for task in range(1, 45):
        which = cell("method-with-a-long-name-0", f"t{task}", cohort="large", cohort_key="l")
        writer.append(which, scored(psnr=BASE))
    writer.close()
    written = write_report(tmp_path / "report", home, Registry.discover(), Silent())
    assert written.size < 1_000_000
    front, whole = (
        HtmlPage(path)
        for path in (written.index, next((tmp_path / "report").glob("large-*")) / "index.html")
    )
    assert "of 130 methods on 40 of 45 tasks" in front.text
    assert len(whole.row("method-with-a-long-name-0")) > 45 > len(front.rows[1])
    assert sum(len(row) > 2 for row in whole.rows) > 130 > sum(len(row) > 2 for row in front.rows)


def test_published_numbers_are_separate_from_ours(tmp_path, monkeypatch):
    home = tmp_path / "home"
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    writer = ResultsStore(home / "results").writer("harmbench run")
    writer.append(cell("blindharmony", "sim-exp"), scored(psnr_slices=BASE))
    writer.close()
    write_report(tmp_path / "report", home, Registry.discover(), Silent(), lambda runs: {})
    pages = [path.read_text() for path in (tmp_path / "report").glob("*/index.html")]
    (page,) = [page for page in pages if "as published" in page]
    ours, apart = page.split("psnr_slices as published")
    assert "Jeong et al." in apart
    assert re.search(r"<td>29\.60?</td>", apart)
    assert "29.6" not in ours
