"""What a method warns of reaches the record of a cell."""

from __future__ import annotations

import dataclasses

import torch

from harmbench.execution.compute.apply import harmonized_by
from harmbench.execution.compute.cell_facts import CellFacts
from harmbench_methods.blindcurve.config import PRESETS
from harmbench_methods.blindcurve.method import BlindCurve
from harmbench_methods.identity import Identity
from harmbench_tasks.simulated import Exp

# A method that is not fitted finds no scan like the target's.
SETTINGS = dataclasses.replace(
    PRESETS["tiny"], guard=False, n4=False, likely_field=False, curve=False
)


def test_flags_are_kept_by_subject_and_session(small_cohort):
    scans = Exp().setup(small_cohort, 0).test.load([0, 1])
    images, masks = scans.images.clone(), scans.masks.clone()
    images[1], masks[1] = 0, False
    given = dataclasses.replace(scans, images=images, masks=masks)
    method = BlindCurve(small_cohort.grid, SETTINGS)
    knots = method.histogram.knots
    knots.copy_(torch.linspace(0, 1, len(knots)))
    facts = CellFacts({})
    facts.flag(harmonized_by(method, given, None, 0, torch.device("cpu")))
    assert facts.facts == {"flags": {f"{scans.subjects[1]}/{scans.sessions[1]}": "no foreground"}}


def test_a_method_without_flags_records_none(small_cohort):
    scans = Exp().setup(small_cohort, 0).test.load([0])
    facts = CellFacts({})
    answer = harmonized_by(Identity(small_cohort.grid), scans, None, 0, torch.device("cpu"))
    facts.flag(answer)
    assert answer.flags is None
    assert facts.facts == {}
