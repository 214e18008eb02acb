"""What is behind the numbers of the report: commands, failures and training curves."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from helpers.scored_cells import EVIL

# MLflow's imports raise deprecation warnings.
pytestmark = pytest.mark.filterwarnings("default")


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


def test_training_curves_are_drawn_once_for_each_fit(pages, group):
    page = pages[Path(group.slug) / "training.html"]
    (block,) = re.findall(r'<script type="application/json"[^>]*>(.*?)</script>', page.source, re.S)
    traces = json.loads(block)["data"]
    assert [(trace["x"], trace["y"]) for trace in traces] == [([1, 2], [3.0, 0.5])] * 2
