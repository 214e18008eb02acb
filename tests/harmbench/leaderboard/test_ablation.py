"""The ablation table, laid out from results with known numbers."""

from __future__ import annotations

import math

import pandas as pd
import pytest

from harmbench.contracts.cell import Cell, CellResult, Status
from harmbench.contracts.model import NoConfig
from harmbench.contracts.published import BASELINE, Published
from harmbench.data.scans import GRIDS
from harmbench.execution.plan.plan import PlannedCell
from harmbench.execution.plan.selection import Variant
from harmbench.leaderboard.ablation import tables, tidy
from harmbench.leaderboard.ablation_text import task_blocks
from harmbench.metrics.image import PSNR
from harmbench.plugins import Registry
from helpers.scored_cells import COLUMNS

PAPER = Published(
    "Table 3",
    "other data",
    {"psnr": {BASELINE: {"b": 29.6, "a": 28.8}, "no flow": {"b": 29.5}}},
)

# Of two subjects the interval is Student's, 12.7 times half their distance on either side.
STUDENT = 12.706205


def job(title, task, seed=0, method="blindharmony"):
    kind = Registry.discover().entry("methods", method).load()
    label = method if title == BASELINE else f"{method}[{title}]"
    cell = Cell(
        method=method,
        label=label,
        task=task,
        cohort="phantom",
        seed=seed,
        preset="quick",
        kind="phantom",
        cohort_key="k",
        key=f"{label}{task}",
    )
    variant = Variant(name=method, method=kind, config=NoConfig(), label=label, title=title)
    return PlannedCell(cell=cell, variant=variant, task=None, data=None, grid=GRIDS["quick"])


def done(**subjects):
    rows = [(subject, "1", 0, "psnr", value) for subject, value in subjects.items()]
    return CellResult(status=Status.DONE, scores=pd.DataFrame(rows, columns=COLUMNS))


def table(results, published=PAPER):
    (result,) = tables(results, [PSNR()], published)
    return result


def test_differences_are_paired_by_subject():
    result = table(
        [(job(BASELINE, "a"), done(p=20.0, q=30.0)), (job("no flow", "a"), done(p=19.0, q=28.0))]
    )
    field = result.rows["no flow"]["a"]
    assert (field.value.mean, field.value.n) == (23.5, 2)
    # The spread between subjects is no part of it.
    half = STUDENT * 0.5
    assert field.difference.mean == -1.5
    assert (field.difference.low, field.difference.high) == pytest.approx(
        (-1.5 - half, -1.5 + half)
    )
    assert result.rows[BASELINE]["a"].difference is None


def test_seeds_are_averaged_within_a_subject():
    results = [(job(BASELINE, "a", seed), done(p=20.0 + seed, q=30.0 + seed)) for seed in (0, 2)]
    estimate = table(results).rows[BASELINE]["a"].value
    assert (estimate.mean, estimate.n) == (26.0, 2)
    half = STUDENT * 5.0
    assert (estimate.low, estimate.high) == pytest.approx((26.0 - half, 26.0 + half))


def test_a_failed_seed_never_hides_behind_a_good_one():
    failed = CellResult(status=Status.FAILED, reason="boom")
    field = table([(job(BASELINE, "a", 0), done(p=20.0)), (job(BASELINE, "a", 1), failed)]).rows[
        BASELINE
    ]["a"]
    assert (field.value, field.status, field.reason) == (None, "failed", "boom")


def test_a_failed_baseline_leaves_values_without_differences():
    failed = CellResult(status=Status.DIVERGED, reason="diverged at step 3")
    result = table([(job(BASELINE, "a"), failed), (job("no flow", "a"), done(p=19.0, q=28.0))])
    assert result.rows["no flow"]["a"].value.mean == 23.5
    assert result.rows["no flow"]["a"].difference is None


def test_published_tasks_come_first_in_the_papers_order():
    results = [
        (job(title, task), done(p=20.0, q=21.0))
        for task in ("c", "a", "b")
        for title in (BASELINE, "no flow")
    ]
    result = table(results)
    assert result.tasks == ("b", "a", "c")
    assert result.rows["no flow"]["b"].published == 29.5
    assert result.rows["no flow"]["b"].published_difference == pytest.approx(-0.1)
    assert result.rows["no flow"]["a"].published is None
    assert table(results, None).tasks == ("c", "a", "b")


def test_controls_are_marked_and_have_no_published_number():
    results = [
        (job(BASELINE, "a"), done(p=20.0, q=21.0)),
        (job(BASELINE, "a", method="identity"), done(p=15.0, q=15.0)),
    ]
    result = table(results)
    assert result.controls == {"identity"}
    assert result.rows["identity"]["a"].published is None
    assert result.rows["identity"]["a"].difference.mean == -5.5


def test_infinite_values_have_no_difference_and_raise_no_warning():
    perfect = done(p=math.inf, q=math.inf)
    result = table([(job(BASELINE, "a"), perfect), (job("no flow", "a"), perfect)])
    assert result.rows["no flow"]["a"].value.mean == math.inf
    assert math.isnan(result.rows["no flow"]["a"].difference.mean)


def test_export_has_a_line_for_every_field():
    result = tidy(table([(job(BASELINE, "b"), done(p=20.0, q=30.0))]))
    columns = ["metric", "row", "task", "value", "subjects", "published"]
    assert result[columns].to_numpy().tolist() == [["psnr", BASELINE, "b", 25.0, 2, 29.6]]
    assert result["value_low"].tolist() == pytest.approx([25.0 - STUDENT * 5.0])


def test_tasks_are_shown_in_blocks_that_fit_the_width():
    result = table([(job(BASELINE, task), done(p=1.0, q=2.0)) for task in "abcdefgh"])
    blocks = list(task_blocks(result, PAPER, 100))
    assert [task for block in blocks for task in block] == ["b", "a", *"cdefgh"]
    assert [len(block) for block in blocks] == [3, 4, 1]
    assert [len(block) for block in task_blocks(result, PAPER, 20)] == [1] * 8
