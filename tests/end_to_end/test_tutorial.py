"""The tutorial, followed from an empty folder: its commands run exactly as printed."""

from __future__ import annotations

import re

import pytest


def numbers(board: str) -> dict[str, float]:
    """The first number of each row of a leaderboard."""
    rows = re.findall(r"^([a-z]\S*).*? (\d+\.\d\d)\b", board, re.MULTILINE)
    return {label: float(value) for label, value in rows}


@pytest.mark.timeout(900)
def test_the_tutorial_leads_from_an_empty_folder_onto_the_leaderboard(shell, page):
    blocks = page("tutorial.md").blocks("console")
    outputs = {block: shell(block) for block in blocks}
    checked = next(text for block, text in outputs.items() if "harmbench check" in block)
    assert "all checks passed" in checked
    board = next(text for block, text in outputs.items() if "harmbench leaderboard" in block)
    assert "PHANTOM" in board
    printed = next(text for text in page("tutorial.md").blocks("text") if "PHANTOM" in text)
    assert "my-method" in numbers(printed)
    assert numbers(board) == pytest.approx(numbers(printed), abs=0.02)
