"""Figures 1 and 2, drawn on the small cohort of a flow that is hardly trained."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from harmbench import FigureContext, UserError
from harmbench.contracts.cell import Cell
from harmbench.plugins import Registry
from harmbench.util.progress import Silent
from harmbench.util.seeds import torch_generator
from harmbench_methods.blindharmony.config import BlindHarmonyConfig
from harmbench_methods.blindharmony.figures import (
    COLUMNS,
    TEMPERATURES,
    Samples,
    Terms,
    cosine,
    dice,
    pearson,
)
from harmbench_methods.blindharmony.method import BlindHarmony
from harmbench_methods.identity import Identity

CONFIG = BlindHarmonyConfig(levels=2, steps=1, hidden=8, blocks=1, bins=4)


@pytest.fixture
def context(small_cohort):
    """Make a context of a task; the method is as it is before a fit."""

    def make(task="domain1", **changes):
        registry = Registry.discover()
        data = registry.entry("tasks", task, small_cohort.sources).build().setup(small_cohort, 0)
        cell = Cell(
            method="blindharmony",
            label="blindharmony",
            task=task,
            cohort=small_cohort.name,
            seed=0,
            preset="quick",
            kind=small_cohort.kind,
            cohort_key=small_cohort.key,
            key="key",
        )
        given = {
            "cell": cell,
            "method": BlindHarmony,
            "config": CONFIG,
            "cohort": small_cohort,
            "data": data,
            "fitted": lambda: BlindHarmony(small_cohort.grid, CONFIG).eval(),
            "t2_weighted": lambda subject: None,
            "progress": Silent(),
        }
        return FigureContext(**given | changes)

    return make


def pixels(figure):
    figure.canvas.draw()
    return np.asarray(figure.canvas.buffer_rgba())[..., :3].copy()


def texts(figure):
    result = [axis.get_title() for axis in figure.axes]
    return "\n".join([figure.get_suptitle(), *result, *(axis.get_ylabel() for axis in figure.axes)])


def test_samples_are_drawn_below_real_slices_and_come_from_the_flow(context, small_cohort):
    given = context("sim-exp")
    figure = Samples().draw(given)
    shown = [axis.images[0].get_array() for axis in figure.axes]
    assert len(shown) == COLUMNS * (1 + len(TEMPERATURES))
    train = small_cohort.scans("target", "train").load(range(4)).images.numpy()
    flat = np.rot90(train, axes=(2, 3)).reshape(-1, 48, 32)
    assert all((flat == image).all(axis=(1, 2)).any() for image in shown[:COLUMNS])
    generator = torch_generator(0, "figure", "samples")
    drawn = given.fitted().flow.sample(COLUMNS, generator, TEMPERATURES[-1])
    assert (np.asarray(shown[-1]) == np.rot90(drawn[-1].numpy())).all()
    assert "PHANTOM, not real scans" in figure.get_suptitle()
    assert "bits/dim on 6 validation slices" in figure.get_suptitle()
    assert pixels(figure).std() > 10
    assert (pixels(figure) == pixels(Samples().draw(given))).all()


def test_another_seed_draws_other_samples(context):
    given = context("sim-exp")
    other = dataclasses.replace(given, cell=dataclasses.replace(given.cell, seed=1))
    first, second = (Samples().draw(each).axes[-1].images[0].get_array() for each in (given, other))
    assert not np.array_equal(first, second)


def test_terms_of_a_pair_and_of_a_t2_image(context, small_cohort):
    source, _ = small_cohort.pairs("domain1", "test")
    first = source.load([0]).images[0]
    negative = 0.9 * (first > 0) * (1 - first)
    subjects = []

    def t2_weighted(subject):
        subjects.append(subject)
        return negative

    figure = Terms().draw(context(t2_weighted=t2_weighted))
    assert subjects == [source.subjects[0]]
    assert len(figure.axes) == 12
    said = texts(figure)
    assert "no T2w image" not in said
    numbers = [line.split()[2] for line in said.splitlines() if line.startswith("r = ")]
    assert float(numbers[0]) > 0.5
    assert float(numbers[1]) == -1.0
    assert pixels(figure).std() > 10


def test_a_cohort_without_t2_omits_the_failing_case_and_notes_it(context):
    figure = Terms().draw(context("sim-bias"))
    assert len(figure.axes) == 6
    assert "the cohort has no T2w image" in figure.get_suptitle()


def test_the_overlap_of_a_scan_with_itself_is_one(context):
    given = context()
    same = dataclasses.replace(given.data, references=given.data.test)
    figure = Terms().draw(dataclasses.replace(given, data=same))
    assert "Dice 1.00" in texts(figure)
    kinds = np.asarray(figure.axes[4].images[0].get_array())
    assert set(np.unique(kinds)) == {0, 1, 4}  # no pixel is of one of the two alone


def test_a_figure_that_cannot_be_drawn_is_an_error(context):
    for figure in (Samples(), Terms()):
        with pytest.raises(UserError, match=f"'{figure.name}' shows parts of blindharmony"):
            figure.draw(context(method=Identity))
    with pytest.raises(UserError, match="'site-north' has not; try --task sim-bias"):
        Terms().draw(context("site-north"))


def test_correlation_and_overlap_equal_textbook_formulas():
    a = np.array([[0.0, 1.0], [2.0, 3.0]], dtype=np.float32)
    brain = a > 0
    assert cosine(a, 2 * a) == pytest.approx(1)
    assert cosine(a, np.zeros_like(a)) == 0
    assert pearson(a, 5 - a, brain) == pytest.approx(-1)
    assert math.isnan(pearson(a, np.ones_like(a), brain))
    left, top = np.zeros((2, 10, 10), dtype=bool)
    left[:, :5], top[:5] = True, True
    whole = np.ones((10, 10), dtype=bool)
    assert dice(left, top, whole) == (pytest.approx(0.5), pytest.approx(0.5))
    assert dice(left, left, whole) == (1, pytest.approx(0.5))
    assert math.isnan(dice(~whole, ~whole, whole)[0])
