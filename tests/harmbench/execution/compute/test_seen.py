"""A fit is stored with a summary of the scans that its method will receive."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
import torch

from harmbench.data.appearance import appearance, shading
from harmbench.data.cohort_request import CohortRequest
from harmbench.execution.compute.runner import Runner
from harmbench.execution.compute.seen import seen_scans
from harmbench.execution.plan.plan import make_plan
from harmbench.execution.plan.request import Request
from harmbench.execution.plan.selection import select
from harmbench.plugins import Registry
from harmbench.util.progress import Silent

PLUGINS = [Path(__file__).parents[3] / "plugins" / "tiny_cohort.py"]


@pytest.fixture
def planned(tmp_path):
    def plan(method):
        registry = Registry.discover(PLUGINS)
        request = Request(methods=[method], tasks=["domain1"], cohort=CohortRequest("tiny"))
        (cell,) = make_plan(registry, select(registry, request), tmp_path, Silent()).cells
        return registry, cell

    return plan


@pytest.mark.parametrize(("method", "blind"), [("histogram", True), ("cyclegan", False)])
def test_a_blind_method_has_seen_the_target_and_others_the_source(planned, method, blind):
    fit = planned(method)[1].fit
    seen = seen_scans(fit)
    scans = fit.fit_data.target if blind else fit.fit_data.source
    assert (seen["domain"], seen["blind"]) == (scans.domain, blind)
    assert [scan["subject"] for scan in seen["scans"]] == list(scans.subjects)
    first = scans.load([0])
    of = (first.images[0].numpy(), first.masks[0].numpy(), scans.grid.spacing)
    assert seen["scans"][0]["appearance"] == appearance(*of)
    assert seen["scans"][0]["shading"] == shading(*of)


def test_acquired_voxel_sizes_are_those_of_the_cohort(planned):
    fit = planned("histogram")[1].fit
    assert all(scan["voxel_size"] is None for scan in seen_scans(fit)["scans"])
    target = fit.fit_data.target
    key = (target.domain, target.scans[0].subject, target.scans[0].session)
    fit = dataclasses.replace(fit, voxel_sizes={key: (1.0, 1.0, 1.2)})
    sizes = [scan["voxel_size"] for scan in seen_scans(fit)["scans"]]
    assert sizes == [[1.0, 1.0, 1.2], *[None] * (len(target) - 1)]


def test_the_summary_is_stored_with_the_fit(planned, tmp_path):
    registry, cell = planned("histogram")
    Runner(registry=registry, home=tmp_path, device=torch.device("cpu"), progress=Silent()).fitted(
        cell
    )
    description = json.loads((tmp_path / "fits" / cell.fit.key / "fit.json").read_text())
    assert description["seen"] == seen_scans(cell.fit)
