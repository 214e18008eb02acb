"""The Markdown and the JSON of a board have the same content."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest

import harmbench
from harmbench.leaderboard.text import as_json, board_table
from harmbench.leaderboard.tidy import tidy
from helpers.bundles import BASE, record
from helpers.scored_cells import cell, scored

GAINS = {"identity": 0.0, "good": 5.0, "fair": 4.9, "weak": 1.0}
NOISE = np.random.default_rng(0).normal(size=(len(GAINS), 8))
_CELL = re.compile(r"(-?[\d.]+)(?: ([a-z]+))? \[(-?[\d.]+), (-?[\d.]+)\]")


@pytest.fixture(scope="module", params=[8, 5], ids=["eight subjects", "five subjects"])
def board(request, keep_home):
    """A board of two tasks; no difference can be significant with five subjects."""
    home = keep_home / f"of {request.param}"
    home.mkdir()
    pairs = [
        (cell(label, task), scored(psnr=(BASE + gain + 0.5 * noise + shift)[: request.param]))
        for (label, gain), noise in zip(GAINS.items(), NOISE, strict=True)
        for task, shift in (("curve", 0.0), ("scanner", 1.0))
    ]
    record(home, *pairs)
    return harmbench.results(home=home).board("psnr").board


def markdown(board):
    """Return the texts of the table by row and heading."""
    lines = [
        [part.strip() for part in line.strip("|").split("|")]
        for line in board_table(board, {}, []).as_markdown().splitlines()
        if line.startswith("|")
    ]
    headings, _, *rows = lines
    return {row[0]: dict(zip(headings[1:], row[1:], strict=True)) for row in rows}


def test_numbers_letters_intervals_and_subjects_are_the_same(board):
    table = markdown(board)
    rows = json.loads(as_json(tidy(board)))
    assert len(rows) == len(GAINS) * 2
    for row in rows:
        name = f"{row['method']} *" if row["control"] else row["method"]
        text = table[name][row["task"]].replace("**", "")
        match = _CELL.fullmatch(text)
        assert match, text
        value, letters, low, high = match.groups()
        for shown, exact in ((value, "value"), (low, "low"), (high, "high")):
            assert float(shown) == pytest.approx(row[exact], abs=0.00501)
        assert (letters or "") in ("", row["family_letters"])
        if row["ranked"]:
            rank = table[name]["rank"].replace("**", "").split(" ")[0]
            assert float(rank) == pytest.approx(row["mean_rank"], abs=0.0501)
    subjects = {row["subjects"] for row in rows}
    (n,) = subjects
    assert any(f"{n} " in line and "subjects" in line for line in board_table(board, {}, []).below)


def test_only_a_significantly_better_method_is_bold(board):
    rows = {row["method"]: row for row in json.loads(as_json(tidy(board)))}
    bold = {
        name
        for name, fields in markdown(board).items()
        if any("**" in text for text in fields.values())
    }
    worse = {
        name: [
            other
            for other, its in rows.items()
            if its["ranked"]
            and not {*its["family_letters"]} & {*row["family_letters"]}
            and its["family_gain"] < row["family_gain"]
        ]
        for name, row in rows.items()
        if row["ranked"]
    }
    assert bold <= {name for name, others in worse.items() if others}
    # Some are bold with eight subjects, none with five.
    assert bool(bold) == (rows["good"]["subjects"] == 8)
