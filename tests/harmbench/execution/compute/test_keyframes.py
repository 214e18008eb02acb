"""The picture of a cell: who is in it, and what is outlined."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import PathCollection
from matplotlib.contour import QuadContourSet

from harmbench.contracts.cell import Cell
from harmbench.contracts.task_data import TaskData
from harmbench.execution.compute.keyframes import Keyframes

CELL = Cell(
    method="m",
    label="m[x=1]",
    task="t",
    cohort="small",
    seed=0,
    preset="quick",
    kind="phantom",
    cohort_key="c",
    key="k",
)


@pytest.fixture
def drawn(small_cohort):
    """Draw a cell of two subjects, of whom p0 is ranked in the middle."""
    test = small_cohort.scans("domain1", "test")
    truth = small_cohort.scans("target", "test").subset([2, 0])
    data = TaskData(
        target=small_cohort.scans("target", "train"),
        validation=small_cohort.scans("target", "validation"),
        test=test,
    )

    def draw(annotated=lambda scans: scans, *, paired=True, ranked_by=("psnr", "dice")):
        keyframes = Keyframes(CELL)
        for index in range(2):
            scans = test.load([index])
            keyframes.add(scans, scans, truth.load([index]) if paired else None)
        scores = pd.DataFrame(
            {
                "subject": ["p0", "p1"],
                "scan": ["a", "a"],
                "slice": -1,
                "metric": "dice",
                "value": [0.9, 0.8],
            }
        )
        return keyframes.figure(scores, data, ranked_by, annotated)

    draw.test, draw.truth = test, truth
    return draw


def titles(figure):
    return [axis.get_title() for axis in figure.axes[:4]]


def outlines(figure):
    return [
        sum(isinstance(one, (QuadContourSet, PathCollection)) for one in axis.collections)
        for axis in figure.axes[:4]
    ]


def test_the_median_subject_is_chosen_by_the_first_available_metric(drawn) -> None:
    figure = drawn()
    assert titles(figure) == ["source", "harmonised: m[x=1]", "reference", "harmonised − reference"]
    title = figure.get_suptitle()
    assert "median subject p0, dice 0.9" in title
    assert "PHANTOM" in title
    shown = figure.axes[2].get_images()[0].get_array()
    np.testing.assert_array_equal(shown, np.rot90(drawn.truth.load([1]).images[0, 3].numpy()))
    assert outlines(figure) == [0, 0, 0, 0]


def test_without_a_reference_somebody_else_stands_in(drawn) -> None:
    figure = drawn(paired=False)
    assert titles(figure)[2:] == ["target domain (another subject)", "harmonised − source"]


def test_predicted_and_true_tissue_are_outlined_on_all_three(drawn) -> None:
    seen = []

    def annotated(scans):
        seen.append(scans)
        white = (scans.images > 0.5).to(scans.labels.dtype) * 3
        return dataclasses.replace(scans, predicted=white)

    figure = drawn(annotated)
    assert [scans.subjects for scans in seen] == [("p0",)] * 3
    assert {scans.images.shape for scans in seen} == {(1, 1, 32, 48)}
    assert outlines(figure) == [2, 2, 2, 0]
    assert "red: predicted; blue: true" in figure.axes[0].texts[0].get_text()

    def unlabelled(scans):
        return dataclasses.replace(annotated(scans), labels=None)

    assert outlines(drawn(unlabelled)) == [1, 1, 1, 0]


def test_where_nothing_was_found_nothing_is_outlined(drawn) -> None:
    def nothing(scans):
        return dataclasses.replace(scans, predicted=scans.labels * 0)

    assert outlines(drawn(nothing)) == [0, 0, 0, 0]
