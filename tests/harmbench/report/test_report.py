"""The files of a report: links, no network, and what a report may replace."""

from __future__ import annotations

import re
import shutil

import numpy as np
import pytest

from harmbench.errors import UserError
from harmbench.plugins import Registry
from harmbench.report.report import write_report
from harmbench.store.results import ResultsStore
from harmbench.store.stores import CellStore
from harmbench.util.progress import Silent
from helpers.scored_cells import BASE, cell, scored

# MLflow's imports raise deprecation warnings.
pytestmark = pytest.mark.filterwarnings("default")


def test_every_link_leads_to_a_file_of_the_report_and_every_anchor_is_there(site, pages):
    seen = 0
    for name, page in pages.items():
        links = [item.get("href") for item in page.all("a") + page.all("link")]
        links += [item.get("src") for item in page.all("img") + page.all("script")]
        links += [item[key] for item in page.all("button") for key in item if "data-" in key]
        for link in filter(None, links):
            if link.startswith("data:") or link.isdigit():
                continue
            path, _, anchor = link.partition("#")
            target = (site / name).parent / path if path else site / name
            assert target.resolve().is_relative_to(site), link
            assert target.is_file(), f"{name}: {link}"
            if anchor:
                ids = {
                    item.get("id") for _, item in pages[target.resolve().relative_to(site)].elements
                }
                assert anchor in ids, f"{name}: {link}"
            seen += 1
    assert seen > 50


def test_nothing_is_fetched_from_a_network(site, pages):
    for name, page in pages.items():
        assert not re.search(
            r"""(?:src|href|action)\s*=\s*["']?\s*(?:https?:)?//""", page.source
        ), name
        assert "@import" not in page.source
    for asset in ("report.js", "report.css"):
        text = (site / "assets" / asset).read_text()
        assert "://" not in text
        assert "fetch(" not in text
    assert (site / "assets" / "plotly.min.js").stat().st_size > 1_000_000


def test_a_single_method_that_is_worse_than_the_floor_is_shown_as_such(tmp_path):
    writer = ResultsStore(tmp_path / "results").writer("harmbench run")
    for label, loss in (("identity", np.zeros(8)), ("alone", np.linspace(1, 2, 8))):
        result = CellStore(tmp_path / "cells").save(
            cell(label, "a"), scored(psnr=BASE - loss), None, None
        )
        writer.append(cell(label, "a"), result)
    writer.close()
    written = write_report(
        tmp_path / "report", tmp_path, Registry.discover(), Silent(), lambda runs: {}
    )
    page = written.index.read_text()
    assert re.search(r"<b>alone</b><span>-1\.50 dB \[-1\.\d+, -1\.\d+\] against identity", page)
    assert "rank: none" in page


def test_an_older_report_is_replaced_and_anything_else_is_not(site, store, tmp_path):
    copy = tmp_path / "report"
    shutil.copytree(site, copy)
    (copy / "stale.html").write_text("old")
    write_report(copy, store, Registry.discover(), Silent())
    assert not (copy / "stale.html").exists()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("years of work")
    with pytest.raises(UserError, match="mine.*not a report"):
        write_report(tmp_path / "mine", store, Registry.discover(), Silent())
    assert (tmp_path / "mine" / "thesis.tex").read_text() == "years of work"
