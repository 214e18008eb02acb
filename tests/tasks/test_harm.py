"""Harm: each task notices its own kind, and no other."""

from __future__ import annotations

import numpy as np
import pytest

from harmbench_tasks.harm import WORST_DB, loss_in_decibels
from harmbench_tasks.lesions import Lesions
from harmbench_tasks.target_in import TargetIn
from harmbench_tasks.unusual import Unusual
from harmbench_tasks.ventricles import Ventricles
from helpers import faulty_methods

TASKS = {
    "changes_target": TargetIn(),
    "brightens_ventricles": Ventricles("domain1"),
    "fills_lesions": Lesions("domain1"),
    "darkens_noisy": Unusual("domain1"),
}


@pytest.mark.parametrize("name", TASKS)
def test_a_task_notices_its_own_harm_alone(name, outcome, context):
    harmonize = getattr(faulty_methods, name)
    harmed = {own: outcome(task, harmonize, context)["harmed"] for own, task in TASKS.items()}
    assert harmed[name] >= 0.2
    assert {own: share for own, share in harmed.items() if own != name and share} == {}


@pytest.mark.parametrize("task", TASKS.values(), ids=lambda task: task.name)
def test_an_unchanged_scan_is_not_harmed(task, outcome, context):
    numbers = outcome(task, faulty_methods.unchanged, context)
    assert numbers["harm"] == numbers["harmed"] == numbers["harmed_unflagged"] == 0


def test_flagged_harm_is_counted_apart(outcome, context):
    task = TASKS["changes_target"]
    numbers = outcome(task, faulty_methods.changes_target, context, flags=("unlike the others",))
    assert numbers["harmed"] > 0
    assert numbers["flagged"] == 1
    assert numbers["harmed_unflagged"] == 0


def test_loss_in_decibels():
    error, allowed = np.array([0.1, 0.05, 0.2, 0.0, 0.1]), np.array([0.1, 0.1, 0.1, 0.0, 0.0])
    loss = loss_in_decibels(error, allowed)
    assert loss == pytest.approx([0, 0, 20 * np.log10(2), 0, WORST_DB])
