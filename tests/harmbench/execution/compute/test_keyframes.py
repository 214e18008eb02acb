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
    """Draw a cell of two subjects, of whom p0 is nearer to the truth than p1."""
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
        scores = table({"p0": 0.9, "p1": 0.8})
        return keyframes.figure(scores, data, ranked_by, annotated)

    draw.test, draw.truth, draw.data = test, truth, data
    return draw


def table(values):
    """Return the Dice coefficients of subjects as a table of scores."""
    return pd.DataFrame(
        [(subject, "a", -1, "dice", value) for subject, value in values.items()],
        columns=["subject", "scan", "slice", "metric", "value"],
    )


def titles(figure):
    """Return the texts above the panels, from left to right."""
    texts = [text for text in figure.axes[0].texts if text.get_position()[1] > 2.7]
    return [text.get_text() for text in texts if text.get_fontsize() == 10]


def outlines(figure):
    """Return the number of outlines within each of the four panels."""
    counts = [0, 0, 0, 0]
    panels = [image.get_extent() for image in figure.axes[0].get_images()[:4]]
    for one in figure.axes[0].collections:
        assert isinstance(one, (QuadContourSet, PathCollection))
        x = np.concatenate([path.vertices[:, 0] for path in one.get_paths()])
        inside = [left < x.min() and x.max() < right for left, right, *_ in panels]
        assert sum(inside) == 1
        counts[inside.index(True)] += 1
    return counts


def test_the_picture_shows_the_scans_and_the_value_of_the_median_subject(drawn) -> None:
    figure = drawn()
    assert titles(figure) == ["source", "harmonised: m[x=1]", "reference", "harmonised − reference"]
    title = figure.get_suptitle()
    assert "the task's median subject, p0, dice 0.9" in title
    assert "PHANTOM" in title
    shown = figure.axes[0].get_images()[2].get_array()
    np.testing.assert_array_equal(shown, np.rot90(drawn.truth.load([1]).images[0, 3].numpy()))
    assert outlines(figure) == [0, 0, 0, 0]
    assert figure.axes[0].get_xlim() == (0, 12)


@pytest.mark.parametrize("best", range(5))
def test_every_method_is_shown_on_the_median_subject_of_the_task(drawn, best):
    source = drawn.test.load([0])
    keyframes = Keyframes(CELL)
    # Sources of five subjects at different distances from the truth; p3 is in the middle.
    for place, (subject, error) in enumerate(
        {"p0": 0.3, "p1": 0.1, "p2": 0.5, "p3": 0.2, "p4": 0.05}.items()
    ):
        scan = dataclasses.replace(source, subjects=(subject,), images=source.images * 0 + error)
        truth = dataclasses.replace(scan, images=scan.images * 0)
        # The method is best on another subject each time.
        harmonized = truth if place == best else scan
        keyframes.add(scan, harmonized, truth)
    scores = table({f"p{k}": (k - best) % 5 / 5 for k in range(5)})
    figure = keyframes.figure(scores, drawn.data, ("dice",), lambda scans: scans)
    assert "subject, p3, dice" in figure.get_suptitle()
    assert figure.axes[0].get_images()[0].get_array().max() == pytest.approx(0.2)


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
    legends = [text.get_text() for text in figure.axes[0].texts]
    assert legends.count("red: predicted; blue: true") == 3

    def unlabelled(scans):
        return dataclasses.replace(annotated(scans), labels=None)

    assert outlines(drawn(unlabelled)) == [1, 1, 1, 0]


def test_where_nothing_was_found_nothing_is_outlined(drawn) -> None:
    def nothing(scans):
        return dataclasses.replace(scans, predicted=scans.labels * 0)

    assert outlines(drawn(nothing)) == [0, 0, 0, 0]
