"""The script that draws the figures of the documentation works."""

from __future__ import annotations

import runpy

import pytest
import torch
from PIL import Image

from helpers import ROOT

IMAGES = ROOT / "docs" / "images"


@pytest.fixture(scope="module")
def script():
    return runpy.run_path(str(ROOT / "docs" / "figures.py"))


def test_the_signal_of_every_protocol_is_drawn(script):
    over_t1, over_b1 = script["signal"]().axes
    assert len(over_t1.get_legend().get_texts()) == 3
    assert len(over_b1.get_legend().get_texts()) == 4


def test_slices_are_drawn_side_by_side_with_their_titles(script):
    rows = [[torch.rand(8, 10), torch.rand(8, 10)] for _ in range(2)]
    figure = script["panels"](rows, ["one", "other"])
    assert [axis.get_title() for axis in figure.axes] == ["one", "other", "", ""]


@pytest.mark.parametrize("path", sorted(IMAGES.glob("*.png")), ids=lambda path: path.stem)
def test_pictures_are_small_and_used_on_a_page(path):
    assert path.stat().st_size < 300_000
    with Image.open(path) as picture:
        assert min(picture.size) > 200
    pages = [*(ROOT / "docs").glob("*.md"), ROOT / "README.md"]
    assert any(f"images/{path.name})" in page.read_text() for page in pages)
