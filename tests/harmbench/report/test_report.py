"""The report of a real store: what is on its pages, and what must never be."""

from __future__ import annotations

import json
import re
import shutil
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

from harmbench.contracts.cell import CellResult, Status
from harmbench.contracts.fit_progress import CurvePoint
from harmbench.errors import UserError
from harmbench.leaderboard.groups import Slugs, grouped
from harmbench.plugins import Registry
from harmbench.report.fields import COLOURS, colour_scale, scale_of, score_field
from harmbench.report.report import write_report
from harmbench.report.viewer import LIMIT, palette, write_viewer
from harmbench.store.results import ResultsStore
from harmbench.store.stores import CellStore
from harmbench.tracking import reader
from harmbench.util.progress import Silent
from helpers.scored_cells import cell, scored, slices

# MLflow's imports raise deprecation warnings.
pytestmark = pytest.mark.filterwarnings("default")

EVIL = '<script>alert("x")</script>[a=1]'
BASE = np.arange(20.0, 28.0)
GAINS = {"identity": 0.0, "good": 5.0, "weak": 1.0, EVIL: 3.0}


class Page(HTMLParser):
    """What a browser would make of a page: elements with their attributes, and texts."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.source = path.read_text()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.rows: list[list[tuple[str, dict[str, str | None]]]] = []
        self.feed(self.source)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th") and self.rows:
            self.rows[-1].append(("", dict(attrs)))

    def handle_data(self, data):
        self.texts.append(data)
        if self.rows and self.rows[-1]:
            text, attributes = self.rows[-1][-1]
            self.rows[-1][-1] = (text + data, attributes)

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]

    def row(self, label):
        # The ranking has fewer columns than the boards.
        rows = (row for row in self.rows if row and row[0][0].strip().startswith(label))
        return max(rows, key=len)

    @property
    def text(self):
        return " ".join("".join(self.texts).split())


@pytest.fixture(scope="module")
def store(keep_home):
    writer = ResultsStore(keep_home / "results").writer(f"harmbench run -m {EVIL} -t 'a*'")

    def record(which, result, shade=None):
        if result.scores is not None:
            pictures = None if shade is None else slices(shade)
            result = CellStore(keep_home / "cells").save(which, result, None, pictures)
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
    return keep_home


@pytest.fixture(scope="module")
def site(store, tmp_path_factory):
    folder = tmp_path_factory.mktemp("site") / "report"
    extra = {"colour": {"good": "blue & <u>green</u>"}}
    written = write_report(folder, store, Registry.discover(), Silent(), lambda runs: extra)
    assert written.index == folder / "index.html"
    assert written.pages == len(list(folder.rglob("*.html")))
    return folder


@pytest.fixture(scope="module")
def group(store):
    recorded = reader.read(store)
    groups = grouped(recorded.runs(), recorded.headlines, {})
    return next(group for group in groups if group.cohort == "wide")


@pytest.fixture(scope="module")
def pages(site):
    return {path.relative_to(site): Page(path) for path in site.rglob("*.html")}


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


def test_names_are_text_on_every_page_and_never_markup(pages):
    scripts = {"report.js", "plotly.min.js"}
    for name, page in pages.items():
        for script in page.all("script"):
            source = Path(script.get("src") or "").name
            assert source in scripts or script.get("type") == "application/json", name
        assert "<script>alert" not in page.source, name
        assert "<b>here" not in page.source
        assert "<u>green" not in page.source
        assert "<i>line 3" not in page.source
    index = pages[Path("index.html")]
    assert EVIL in index.text.replace(" ", "") or '<script>alert("x")</script>[a=1]' in index.text


def test_numbers_on_the_pages_are_the_boards(pages, group):
    board = group.first
    (name,) = [
        path for path in pages if path.parent.name == group.slug and path.name == "index.html"
    ]
    result = 0
    heads = [text.strip() for text, _ in next(row for row in pages[name].rows if len(row) > 2)]
    for row in board.rows:
        cells = pages[name].row(row.label)
        for task in board.tasks:
            text, attributes = cells[heads.index(task)]
            score = row.scores.get(task)
            if score is None:
                assert text.strip() == "not run"
            elif score.has_value:
                assert float(attributes["data-v"]) == score.value
                assert f"{score.value:.2f}" in text
                assert f"[{score.low:.2f}, {score.high:.2f}]" in text
                result += 1
            else:
                assert score.status in text
    assert result == 2 * len(GAINS)


def test_a_task_page_has_valid_plotly_figures(pages, group):
    import plotly.graph_objects as go

    page = pages[Path(group.slug) / group.files["a"]]
    captions = [item["aria-label"] for item in page.all("div") if item.get("role") == "img"]
    assert any(label.startswith("good: 29.00 [") for label in captions)
    blocks = re.findall(r'<script type="application/json"[^>]*>(.*?)</script>', page.source, re.S)
    figures = [go.Figure(json.loads(block)) for block in blocks]
    assert len(figures) == len(page.all("figure")) - 4  # those of the viewer
    first, gain = figures[0], figures[1]
    methods = next(trace for trace in first.data if trace.name == "methods")
    values = dict(zip(methods.y, methods.x, strict=True))
    assert values["good"] == pytest.approx(29.0)
    assert values['&lt;script&gt;alert("x")&lt;/script&gt;[a=1]'] == pytest.approx(27.0)
    subjects = next(trace for trace in gain.data if trace.name == "each subject")
    assert [x for x, y in zip(subjects.x, subjects.y, strict=True) if y == "weak"] == [1.0] * 8
    drawn = {figure.layout.xaxis.title.text for figure in figures}
    assert {"time to fit [s]", "psnr by identity"} <= drawn


def test_failed_and_skipped_cells_have_their_reasons(pages, group):
    page = pages[Path(group.slug) / "failures.html"]
    assert "RuntimeError: boom" in page.text
    assert "Traceback: <i>line 3</i>" in page.text
    assert "no pairs <b>here</b>" in page.text
    front = pages[Path("index.html")]
    assert "failed" in front.row("broken")[-2][0] + front.row("broken")[-3][0]
    assert "loss above 1e9" in front.text  # on no board, since no method has a number there
    assert "real scans" in front.text


def test_every_number_leads_to_its_command_environment_and_settings(pages, group):
    page = pages[Path(group.slug) / group.files["a"]]
    anchor = next(item for item in page.all("tr") if item.get("id") == f"r{group.labels['good']}")
    assert anchor
    front = pages[Path("index.html")]
    links = {item["href"] for item in front.all("a") if "#r" in item["href"]}
    assert f"{group.slug}/{group.files['a']}#r{group.labels['good']}" in links
    assert f"harmbench run -m {EVIL} -t 'a*'" in page.text
    for name in ("harmbench", "torch", "python"):
        assert name in [text.strip() for text in page.texts]


def test_a_phantom_is_called_one_on_every_page(pages, group):
    for name, page in pages.items():
        if name.parent.name == group.slug:
            assert "PHANTOM, not real scans" in page.text, name


def test_training_curves_are_drawn_once_for_each_fit(pages, group):
    page = pages[Path(group.slug) / "training.html"]
    (block,) = re.findall(r'<script type="application/json"[^>]*>(.*?)</script>', page.source, re.S)
    traces = json.loads(block)["data"]
    assert [(trace["x"], trace["y"]) for trace in traces] == [([1, 2], [3.0, 0.5])] * 2


def test_the_viewer_shows_bytes_as_they_were_kept_and_differences_to_the_truth(site, group):
    from PIL import Image

    folder = site / group.slug / "images"
    stem = group.files["a"].removesuffix(".html")
    grey = np.asarray(Image.open(folder / f"{stem}-source.png"))
    assert grey.shape == (2 * 5, 3 * 4)
    assert set(grey.ravel()) == {10}
    order = [row.label for row in group.first.methods if row.label in GAINS]
    shade = 20 * list(GAINS).index(order[0])
    assert set(np.asarray(Image.open(folder / f"{stem}-0.png")).ravel()) == {shade}
    red, _, blue = Image.open(folder / f"{stem}-0-difference.png").convert("RGB").getpixel((0, 0))
    assert blue > red  # much darker than the truth
    expected = np.clip(((shade - 200) / 255 / LIMIT + 1) / 2, 0, 1) * 255
    assert tuple(palette()[round(expected)]) == Image.open(
        folder / f"{stem}-0-difference.png"
    ).convert("RGB").getpixel((0, 0))


def test_a_method_that_shows_other_subjects_is_left_out_of_the_viewer(tmp_path):
    files = {}
    for name, subjects in (("one", ["p0", "p1"]), ("two", ["p0", "p1"]), ("odd", ["p5", "p6"])):
        files[name] = tmp_path / f"{name}.npz"
        np.savez_compressed(files[name], **{**slices(50), "subjects": np.array(subjects)})
    (tmp_path / "damaged.npz").write_bytes(b"no zip")
    files["damaged"] = tmp_path / "damaged.npz"
    viewer = write_viewer(tmp_path / "images", "t", files)
    assert [layer.name for layer in viewer.layers[1:-1]] == ["one", "two"]
    assert viewer.subjects == ("p0", "p1")


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


def test_a_large_board_is_cut_on_the_front_page_and_whole_on_its_own(store, tmp_path):
    writer = ResultsStore(store / "results").writer("harmbench run")
    for index in range(130):
        which = cell(f"method-with-a-long-name-{index}", "t0", cohort="large", cohort_key="l")
        writer.append(which, scored(psnr=BASE + index))
    for task in range(1, 45):
        which = cell("method-with-a-long-name-0", f"t{task}", cohort="large", cohort_key="l")
        writer.append(which, scored(psnr=BASE))
    writer.close()
    written = write_report(tmp_path / "report", store, Registry.discover(), Silent())
    assert written.size < 1_000_000
    front, whole = (
        Page(path)
        for path in (written.index, next((tmp_path / "report").glob("large-*")) / "index.html")
    )
    assert "of 130 methods on 40 of 45 tasks" in front.text
    assert len(whole.row("method-with-a-long-name-0")) > 45 > len(front.rows[1])
    assert sum(len(row) > 2 for row in whole.rows) > 130 > sum(len(row) > 2 for row in front.rows)


def test_text_on_the_colours_of_a_column_is_legible_and_both_sides_grow_from_the_paper():
    css = (files("harmbench.report") / "templates" / "report.css").read_text()
    rules = re.findall(r"\.h(\d) \{\s*background: #(\w{6});\s*color: #(\w{6});?\s*\}", css)
    middle = COLOURS // 2
    for steps in (rules[:COLOURS], rules[COLOURS:]):
        assert [int(step) for step, *_ in steps] == list(range(COLOURS))
        paper = _luminance(steps[middle][1])
        far = [abs(_luminance(ground) - paper) for _, ground, _ in steps]
        assert far[: middle + 1] == sorted(far[: middle + 1], reverse=True)
        assert far[middle:] == sorted(far[middle:])
        for _, ground, ink in steps:
            low, high = sorted((_luminance(ground), _luminance(ink)))
            assert (high + 0.05) / (low + 0.05) >= 4.5  # contrast of WCAG 2.2
            # Never grey, except for the paper.
            shares = [int(ground[i : i + 2], 16) for i in (0, 2, 4)]
            assert ground == steps[middle][1] or max(shares) - min(shares) > 20


def _luminance(colour: str) -> float:
    """Return the relative luminance of an sRGB colour, in [0, 1]."""
    shares = np.array([int(colour[i : i + 2], 16) for i in (0, 2, 4)]) / 255
    linear = np.where(shares <= 0.04045, shares / 12.92, ((shares + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def test_the_best_of_a_column_has_the_last_colour_and_the_floor_none(group):
    board = group.first
    scale = scale_of(board, "a")
    classes = {
        row.label: score_field(row, row.scores["a"], scale, "").css_class
        for row in board.rows
        if row.label in GAINS
    }
    assert classes["good"] == f"h{COLOURS - 1}"
    assert classes["identity"] == ""
    assert classes["weak"] < classes[EVIL] < classes["good"]


def test_a_method_below_the_floor_is_on_the_other_side_even_if_it_is_the_best():
    middle = COLOURS // 2
    worse = colour_scale([20.0, 24.0], floor=25.0)
    assert worse.step(24.0) == middle - 1
    assert worse.step(20.0) == 0
    # Lower is better, and one method leaves nothing to choose from.
    assert colour_scale([0.3, 0.1], 0.2, higher_is_better=False).step(0.1) == COLOURS - 1
    assert colour_scale([0.3]).step(0.3) == COLOURS - 1


def test_a_method_is_not_shown_as_failed_and_as_a_picture(pages, group):
    page = pages[Path(group.slug) / group.files["a"]]
    shown = [item for item in page.all("button") if "data-layer" in item]
    # The source, the reference and the methods with numbers.
    assert len(shown) == 2 + sum(label != "identity" for label in GAINS)


def test_files_of_like_names_are_kept_apart():
    slugs = Slugs()
    names = [slugs(name) for name in ("Sim A", "sim-a", "../../etc", "", "..")]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[a-z0-9][a-z0-9.-]*", name) for name in names)


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
