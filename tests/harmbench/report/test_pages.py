"""Numbers, figures and names on the pages of the report."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from helpers.scored_cells import EVIL, GAINS

# MLflow's imports raise deprecation warnings.
pytestmark = pytest.mark.filterwarnings("default")


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


def test_a_phantom_is_called_one_on_every_page(pages, group):
    for name, page in pages.items():
        if name.parent.name == group.slug:
            assert "PHANTOM, not real scans" in page.text, name
