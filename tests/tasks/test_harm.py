"""Harm, and flags."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from harmbench_tasks.harm import WORST_DB, loss_in_decibels
from harmbench_tasks.target_in import TargetIn
from harmbench_tasks.unusual import VERSIONS, Unusual
from helpers import faulty_methods


def test_flagged_harm_is_counted_apart(outcome, context):
    task = TargetIn()
    numbers = outcome(task, faulty_methods.changes_target, context, flags=("unlike the others",))
    assert numbers["harmed"] > 0
    assert numbers["flagged"] == 1
    assert numbers["harmed_unflagged"] == 0


def test_loss_in_decibels():
    error, allowed = np.array([0.1, 0.05, 0.2, 0.0, 0.1]), np.array([0.1, 0.1, 0.1, 0.0, 0.0])
    loss = loss_in_decibels(error, allowed)
    assert loss == pytest.approx([0, 0, 20 * np.log10(2), 0, WORST_DB])


def test_harm_is_of_its_version_where_a_scan_is_missing(small_cohort, context):
    data = Unusual("domain1").setup(small_cohort, 0)
    missing = VERSIONS.index("noise")
    chosen = data.of_test_scans([p for p in range(len(data.test)) if p != missing])
    scorer = Unusual("domain1").scorer(context(chosen))
    for place, scan in enumerate(chosen.test.scans):
        source, truth = chosen.test.load([place]), chosen.references.load([place])
        # Only scans with a cavity are harmed.
        images = 0.5 * truth.images if scan.session.endswith("cavity") else truth.images
        scorer.add(source, dataclasses.replace(source, images=images), truth)
    table = scorer.table()
    means = table.groupby("metric")["value"].mean()
    assert means["harmed_cavity"] == 1
    assert {means[f"harmed_{version}"] for version in VERSIONS[1:]} == {0}
    counts = table["metric"].value_counts()
    assert counts["harm_noise"] == counts["harm_motion"] - 1
