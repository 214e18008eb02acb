"""The figure of what was changed."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from harmbench import FigureContext, UserError
from harmbench.contracts.cell import Cell
from harmbench.plugins import Registry
from harmbench.util.progress import Silent
from harmbench_methods.blindcurve.config import PRESETS
from harmbench_methods.blindcurve.figures import ROWS, Maps
from harmbench_methods.blindcurve.method import BlindCurve
from harmbench_methods.identity import Identity
from helpers.methods import fitted

CONFIG = PRESETS["tiny"]


@pytest.fixture(scope="module")
def context(small_cohort):
    registry = Registry.discover()
    task = registry.entry("tasks", "sim-bias", small_cohort.sources).build()
    data = task.setup(small_cohort, 0)
    method = fitted(BlindCurve, data, CONFIG).eval()
    cell = Cell(
        method="blindcurve",
        label="blindcurve",
        task="sim-bias",
        cohort=small_cohort.name,
        seed=0,
        preset="quick",
        kind=small_cohort.kind,
        cohort_key=small_cohort.key,
        key="key",
    )
    return FigureContext(
        cell=cell,
        method=BlindCurve,
        config=CONFIG,
        cohort=small_cohort,
        data=data,
        fitted=lambda: method.eval(),
        t2_weighted=lambda subject: None,
        progress=Silent(),
    )


def pixels(figure):
    figure.set_dpi(40)
    figure.canvas.draw()
    return np.asarray(figure.canvas.buffer_rgba())[..., :3].copy()


def test_the_curve_and_the_field_are_shown(context):
    figure = Maps().draw(context)
    curves = [axis for axis in figure.axes if axis.lines]
    assert len(curves) == ROWS
    assert {line.get_label() for line in curves[0].lines} == {
        "no change",
        "population's quantiles",
        "applied",
    }
    assert "PHANTOM, not real scans" in figure.get_suptitle()
    shown = pixels(figure)
    assert shown.std() > 10
    assert (shown == pixels(Maps().draw(context))).all()


def test_other_methods_have_no_maps(context):
    with pytest.raises(UserError, match="leave out --method"):
        Maps().draw(dataclasses.replace(context, method=Identity))
