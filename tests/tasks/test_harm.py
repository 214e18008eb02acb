"""Harm, and flags."""

from __future__ import annotations

import numpy as np
import pytest

from harmbench_tasks.harm import WORST_DB, loss_in_decibels
from harmbench_tasks.target_in import TargetIn
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
