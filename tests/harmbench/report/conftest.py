"""The report of a real store, written once."""

from __future__ import annotations

import pytest

from harmbench.contracts.cell import CellResult, Status
from harmbench.contracts.fit_progress import CurvePoint
from harmbench.leaderboard.groups import grouped
from harmbench.plugins import Registry
from harmbench.report.report import write_report
from harmbench.store.results import ResultsStore
from harmbench.store.stores import CellStore
from harmbench.tracking import reader
from harmbench.util.progress import Silent
from helpers.html_page import HtmlPage
from helpers.scored_cells import BASE, EVIL, GAINS, cell, scored, slices


@pytest.fixture(scope="session")
def store(tmp_path_factory):
    """Results of several methods with pictures, curves and failures; do not change it."""
    home = tmp_path_factory.mktemp("reported")
    writer = ResultsStore(home / "results").writer(f"harmbench run -m {EVIL} -t 'a*'")

    def record(which, result, shade=None):
        if result.scores is not None:
            pictures = None if shade is None else slices(shade)
            result = CellStore(home / "cells").save(which, result, None, pictures)
        writer.append(which, result)

    for task in ("a", "a/../b"):
        for index, (label, gain) in enumerate(GAINS.items()):
            for seed in (0, 1):
                learns = {"fit_key": f"f-{label}-{seed}"} if label == "good" else {}
                values = {"psnr": BASE + gain + seed, "mae": 1 / (gain + BASE)}
                result = scored(**values)
                if learns:
                    curves = (CurvePoint(1, "loss", 3.0), CurvePoint(2, "loss", 0.5))
                    result = CellResult(**{**vars(result), "curves": curves})
                which = cell(label, task, seed=seed, cohort="wide", cohort_key="w", **learns)
                record(which, result, shade=20 * index)
        record(
            cell("skipper", task, cohort="wide", cohort_key="w"),
            CellResult(status=Status.SKIPPED, reason="no pairs <b>here</b>"),
        )
    # The pictures of its first seed are not shown, since it has no number on the task.
    half = cell("half", "a", cohort="wide", cohort_key="w")
    record(half, scored(psnr=BASE, mae=1 / BASE), shade=7)
    half = cell("half", "a", seed=1, cohort="wide", cohort_key="w")
    record(half, CellResult(status=Status.FAILED, reason="RuntimeError: half"))
    broken = cell("broken", "a", cohort="wide", cohort_key="w")
    facts = {"traceback": "Traceback: <i>line 3</i>"}
    record(broken, CellResult(status=Status.FAILED, reason="RuntimeError: boom", facts=facts))
    # No method has a number on this task.
    alone = cell("lonely", "z", cohort="empty", cohort_key="e", kind="real")
    record(alone, CellResult(status=Status.DIVERGED, reason="loss above 1e9"))
    writer.close()
    return home


@pytest.fixture(scope="session")
def site(store, tmp_path_factory):
    """The report of the store; do not change it."""
    folder = tmp_path_factory.mktemp("site") / "report"
    extra = {"colour": {"good": "blue & <u>green</u>"}}
    written = write_report(folder, store, Registry.discover(), Silent(), lambda runs: extra)
    assert written.index == folder / "index.html"
    assert written.pages == len(list(folder.rglob("*.html")))
    return folder


@pytest.fixture(scope="session")
def group(store):
    """The boards of the cohort 'wide'."""
    recorded = reader.read(store)
    groups = grouped(recorded.runs(), recorded.headlines, {})
    return next(group for group in groups if group.cohort == "wide")


@pytest.fixture(scope="session")
def pages(site):
    """The pages of the report, by their paths in it."""
    return {path.relative_to(site): HtmlPage(path) for path in site.rglob("*.html")}
