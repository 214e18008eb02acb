"""The figure of the remaining scanner effect against the preserved biology."""

from __future__ import annotations

import json

import numpy as np
import pytest

from harmbench.leaderboard.measure import measures
from harmbench.leaderboard.table import boards
from harmbench.report.biology_plot import effect_and_biology
from harmbench.store.results import ResultsStore
from harmbench.tracking import reader
from helpers.scored_cells import cell, scored

# Accuracy of the site probe, and two scores of biology.
VALUES = {
    "identity": (0.9, 1.0, 1.0),
    "rescan": (0.6, 1.0, None),
    "erasing": (0.6, 0.1, 0.3),
    "exaggerating": (0.7, 1.5, 0.5),
}
METRICS = ["site_accuracy", "age_effect", "atrophy_slope_deep", "order"]


def drawn(home, metrics):
    runs = reader.runs(home, metrics)
    return effect_and_biology(list(boards(runs, list(measures(runs).values()))))


@pytest.fixture(scope="module")
def home(keep_home):
    writer = ResultsStore(keep_home / "results").writer("harmbench run")
    for label, (accuracy, *shares) in VALUES.items():
        writer.append(cell(label, "classify"), scored(site_accuracy=np.full(8, accuracy)))
        for metric, value in zip(METRICS[1:3], shares, strict=True):
            if value is None:
                continue
            writer.append(cell(label, metric), scored(**{metric: np.full(8, value)}))
    writer.append(cell("no biology", "classify"), scored(site_accuracy=np.full(8, 0.6)))
    # Tasks that some methods lack do not count, and a control may lack one that counts.
    writer.append(cell("erasing", "classify-other"), scored(site_accuracy=np.full(8, 0.9)))
    writer.append(cell("exaggerating", "order"), scored(order=np.full(8, 0.1)))
    writer.close()
    return keep_home


def test_methods_lie_where_their_scores_are(home):
    figure = drawn(home, METRICS)
    points = {
        label: (x, y)
        for trace in json.loads(figure.json)["data"]
        for label, x, y in zip(trace["text"], trace["x"], trace["y"], strict=True)
    }
    assert points == {
        "identity": pytest.approx((0.3, 1.0)),
        "rescan": pytest.approx((0.0, 1.0)),
        "erasing": pytest.approx((0.0, 0.2)),
        # An age effect half too strong counts as one half too weak.
        "exaggerating": pytest.approx((0.1, 0.5)),
    }
    assert "erasing: effect 0" in figure.text
    assert "age_effect, atrophy_slope_deep, classify." in figure.caption
    assert "rescan without atrophy_slope" in figure.caption
    assert "0 is a rescan)" in figure.json


def test_without_a_rescan_an_effect_of_zero_is_chance(tmp_path):
    writer = ResultsStore(tmp_path / "results").writer("harmbench run")
    writer.append(cell("erasing", "classify"), scored(site_accuracy=np.full(8, 0.6)))
    writer.append(cell("erasing", "age_effect"), scored(age_effect=np.full(8, 0.1)))
    writer.close()
    figure = drawn(tmp_path, METRICS)
    assert "erasing: effect 0.1" in figure.text
    assert "0 is chance)" in figure.json
    assert "better than chance." in figure.caption


def test_without_a_site_probe_there_is_no_figure(home):
    assert drawn(home, METRICS[1:]) is None
