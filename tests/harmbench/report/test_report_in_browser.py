"""The pages of a report in a real browser: sorting, filters, viewer, plots, paper and phone."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from harmbench.plugins import Registry
from harmbench.report.report import write_report
from harmbench.store.results import ResultsStore
from harmbench.store.stores import CellStore
from harmbench.util.progress import Silent
from helpers.scored_cells import cell, scored, slices

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")

# MLflow's imports raise deprecation warnings.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("default"),
    pytest.mark.skipif(CHROMIUM is None, reason="needs the program chromium"),
]

BASE = np.arange(20.0, 28.0)
GAINS = {"identity": 0.0, "good": 5.0, "weak": 1.0, "harmful": -3.0}
DESKTOP = {"width": 1400, "height": 900}
PHONE = {"width": 390, "height": 844}


@pytest.fixture(scope="module")
def folder(keep_home, tmp_path_factory):
    """The folder of a board's pages, next to the front page."""
    writer = ResultsStore(keep_home / "results").writer("harmbench run")
    for t, task in enumerate(["curve", *(f"scanner{k}" for k in range(9))]):
        for shade, (label, gain) in enumerate(GAINS.items()):
            which = cell(label, task, family="curves" if task == "curve" else "scanners")
            result = scored(psnr=BASE + gain + t, mae=1 / (BASE + gain))
            stored = CellStore(keep_home / "cells").save(which, result, None, slices(50 * shade))
            writer.append(which, stored)
    writer.close()
    site = tmp_path_factory.mktemp("site") / "report"
    write_report(site, keep_home, Registry.discover(), Silent())
    return next(path.parent for path in site.glob("*/cost.html"))


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as started:
        # The sandbox of Chromium does not run as root.
        browser = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def show(browser):
    """Open a page; any error of its script fails the test."""
    opened, errors = [], []

    def show(path, size=DESKTOP):
        page = browser.new_page(viewport=size)
        page.on("pageerror", lambda error: errors.append(str(error)))
        opened.append(page)
        page.goto(path.as_uri())
        return page

    yield show
    for page in opened:
        page.close()
    assert errors == []


def first_column(page):
    rows = page.locator("table.board").first.locator("tbody tr:visible th")
    return [text.split()[0] for text in rows.all_inner_texts()]


def test_the_front_page_answers_on_one_screen(folder, show):
    page = show(folder.parent / "index.html")
    bottom = page.locator("table.board").first.bounding_box()
    assert bottom["y"] + bottom["height"] <= DESKTOP["height"]
    for answer in page.locator(".answers > div").all():
        assert "good" in answer.inner_text()
        assert "significantly better than 2 of 2 other methods; 8 subjects" in answer.inner_text()
    assert page.locator(".colours").first.is_visible()


def test_a_click_sorts_a_column_with_the_best_on_top_and_another_the_other_way(folder, show):
    page = show(folder.parent / "index.html")
    head = page.locator("table.board").first.locator("th", has_text="scanners")
    head.locator("button").click()
    assert first_column(page) == ["good", "weak", "harmful"]
    assert head.get_attribute("aria-sort") == "descending"
    head.locator("button").click()
    assert first_column(page) == ["harmful", "weak", "good"]


def test_filters_hide_methods_controls_and_tasks(folder, show):
    page = show(folder / "index.html")
    board = page.locator("table.board", has_text="scanner3").first
    page.fill("input[name=rows]", "goo")
    assert page.locator("output[role=status]").inner_text() == "1 of 3 methods"
    names = board.locator("tbody tr:visible th").all_inner_texts()
    assert [name.split()[0] for name in names] == ["good", "identity"]
    page.uncheck("input[name=controls]")
    assert board.locator("tbody tr:visible").count() == 1
    page.fill("input[name=columns]", "scanner3")
    assert board.locator("thead th[data-task]:visible").count() == 1


def test_the_viewer_shows_the_chosen_method_subject_and_slice(folder, show):
    page = show(folder / "task-curve.html")
    panel = page.locator("[data-panel=shown]")
    for name in ("good", "weak"):
        page.locator(".layers button", has_text=name).click()
        assert name in panel.get_attribute("aria-label")
    page.select_option("select[name=subject]", "0")
    page.select_option("select[name=slice]", "2")
    assert panel.get_attribute("aria-label") == "weak, subject p0, z = 10 mm"
    # The source and the pictures of the methods differ.
    shown, source = (page.locator(f"[data-panel={name}] img") for name in ("shown", "source"))
    assert shown.get_attribute("src") != source.get_attribute("src")


def test_a_plot_is_drawn_when_it_is_seen_and_saved_as_svg(folder, show):
    page = show(folder / "task-curve.html")
    figure = page.locator("figure[data-plot]").first
    figure.scroll_into_view_if_needed()
    figure.locator(".main-svg").first.wait_for()
    with page.expect_download() as download:
        figure.locator("button.save").click()
    path = download.value.path()
    assert path.read_text().lstrip().startswith("<svg")
    assert "psnr" in path.read_text()


def test_every_plot_is_on_paper_within_its_page_also_those_of_folded_parts(folder, show):
    page = show(folder / "task-curve.html")
    folded = page.locator("details figure[data-plot]").count()
    assert folded
    page.emulate_media(media="print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    for figure in page.locator("figure[data-plot]").all():
        box, drawn = figure.bounding_box(), figure.locator(".main-svg").first.bounding_box()
        assert drawn["height"] > 50
        assert drawn["x"] + drawn["width"] <= box["x"] + box["width"] + 1
        # The symbols of the legend are visible, too.
        for points in figure.locator(".legendpoints path").all():
            assert points.bounding_box() is not None
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.locator("details[open] figure[data-plot]").count() == 0


def test_on_a_phone_nothing_is_cut_without_a_cue(folder, show):
    for path in (folder.parent / "index.html", folder / "task-curve.html", folder / "index.html"):
        page = show(path, PHONE)
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
        for chip in page.locator(".chips a:visible").all():
            box = chip.bounding_box()
            assert box["x"] + box["width"] <= PHONE["width"]
        wide = 0
        for table in page.locator(".sideways:visible").all():
            inner = table.locator(".scroll")
            cut = inner.evaluate("box => box.scrollWidth > box.clientWidth + 4")
            assert (table.get_attribute("data-more") is not None) == cut
            wide += cut
        assert wide or path.name != "index.html"


def test_the_cue_goes_at_the_end_of_the_table(folder, show):
    page = show(folder.parent / "index.html", PHONE)
    table = page.locator(".sideways[data-more]").first.element_handle()
    table.evaluate("box => { box.firstElementChild.scrollLeft = 1e6; }")
    page.wait_for_function("box => !box.hasAttribute('data-more')", arg=table, timeout=5000)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_on_any_kind_of_page(folder, show, scheme):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    for name in ("../index.html", "index.html", "cost.html", "task-curve.html"):
        page = show((folder / name).resolve())
        page.emulate_media(color_scheme=scheme)
        found = axe.run(page).response
        assert [each["id"] for each in found["violations"]] == []
