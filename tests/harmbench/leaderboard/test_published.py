"""Published numbers, next to a board and never on it."""

from __future__ import annotations

import subprocess
import sys

import numpy as np

from harmbench.leaderboard.board import Board, Row
from harmbench.leaderboard.measure import Measure
from harmbench.leaderboard.published import printed_of, references
from harmbench.leaderboard.scores import TaskColumn
from harmbench.leaderboard.text import PUBLISHED, board_table
from harmbench.plugins import Registry
from harmbench.statistics.subjects import SubjectValues


def column(task, measure):
    empty = SubjectValues((), (), np.empty((0, 0)))
    return TaskColumn(
        task=task,
        family="scanners",
        group=task,
        measure=measure,
        scores={},
        subjects=empty,
        compared=empty,
        reference_line=None,
    )


def board(metric, *tasks, method="blindharmony", cohort="phantom", kind="phantom"):
    # With other settings it is another row, and the paper's still that of the method.
    rows = tuple(
        Row(
            label=label,
            method=method,
            control="",
            ranked=True,
            scores={},
            rank=None,
            family_ranks={},
            normalized=None,
        )
        for label in (method, f"{method}[a=1]")
    )
    return Board(
        cohort=cohort,
        cohort_key="c0",
        kind=kind,
        preset="quick",
        split="test",
        normalization="minmax",
        edition=0,
        measure=(measure := Measure(name=metric, higher_is_better=True)),
        columns={task: column(task, measure) for task in tasks},
        rows=rows,
        comparison=None,
        bounds={},
    )


def test_the_papers_baseline_is_shown_for_the_tasks_of_the_board():
    result = board("psnr_slices", "sim-exp", "domain3", "sim-log")
    (printed,) = references(Registry.discover(), result)
    assert printed.label == "blindharmony"
    assert printed.values == {"sim-exp": 29.6, "sim-log": 28.8}
    lines = board_table(result, {}, [printed]).as_text(100).splitlines()
    line = lines[lines.index(f"{PUBLISHED}:") + 1]
    assert "sim-exp 29.6, sim-log 28.8" in line
    assert "Table 3" in line
    assert "OASIS-3" in line


def test_where_a_paper_has_no_number_nothing_is_shown():
    registry = Registry.discover()
    assert references(registry, board("psnr_slices", "domain3")) == []
    assert references(registry, board("psnr", "sim-exp")) == []
    assert references(registry, board("psnr_slices", "sim-exp", method="histogram")) == []
    assert references(registry, board("psnr_slices", "sim-exp", method="nowhere")) == []


def test_published_tables_are_found_without_loading_the_method():
    for entry in Registry.discover().entries("methods").values():
        assert printed_of(entry) == vars(entry.load()).get("published")


def test_finding_it_does_not_load_torch():
    code = (
        "import sys\n"
        "from harmbench.plugins import Registry\n"
        "from harmbench.leaderboard.published import printed_of\n"
        "entries = Registry.discover().entries('methods')\n"
        "assert printed_of(entries['blindharmony']) is not None\n"
        "assert 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_numbers_on_a_study_are_shown_where_study_and_metric_match():
    def values(metric, task, cohort, kind="real"):
        result = board(metric, task, method="unet", cohort=cohort, kind=kind)
        papers = references(Registry.discover(), result)
        return {paper.label: paper.values for paper in papers}

    expected = {"HACA3": {"all scanners": 21.6}, "HACA3+": {"all scanners": 25.7}}
    assert values("psnr", "travel-oxf2pri", "on-harmony") == expected
    assert not values("nrmse", "travel-oxf2pri", "on-harmony")
    assert not values("psnr", "travel-oxf2pri", "spins-travellers")
    assert not values("psnr", "sim-exp", "on-harmony")
    # Phantom subjects in the layout of the study.
    assert not values("psnr", "travel-oxf2pri", "on-harmony", "simulated")
