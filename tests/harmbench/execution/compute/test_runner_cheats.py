"""Each cheat is refused or harmless; the one that is not is documented as not preventable."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from harmbench.contracts.cell import Status
from harmbench.data.cohort_request import CohortRequest
from harmbench.execution.compute.runner import Runner
from harmbench.execution.plan.plan import make_plan
from harmbench.execution.plan.request import Request
from harmbench.execution.plan.selection import select
from harmbench.plugins import Registry
from harmbench.util.progress import Silent
from helpers import PLUGINS, ROOT


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("home")


@pytest.fixture
def cell(home, compute, monkeypatch):
    """Compute one cell of the tiny cohort."""
    monkeypatch.syspath_prepend(PLUGINS)

    def run(method: str, task: str):
        registry = Registry.discover([PLUGINS / "tiny_cohort.py", PLUGINS / "cheats.py"])
        request = Request(methods=[method], tasks=[task], cohort=CohortRequest("tiny"))
        plan = make_plan(registry, select(registry, request), home, Silent())
        runner = Runner(registry=registry, home=home, device=torch.device("cpu"), progress=Silent())
        ((_, result),), _ = compute(plan, runner)
        return result

    return run


@pytest.mark.parametrize(
    ("method", "reason"),
    [
        ("reads-the-folder", "'ScanSet' object has no attribute 'directory'"),
        ("restores-labels", "got an unexpected keyword argument 'labelled'"),
        ("reads-the-formula", "'ScanSet' object has no attribute 'transform'"),
        ("replaces-the-transform", "have a transform, which is final"),
        ("changes-masks", "ContractError: expected unchanged scans.masks"),
        ("changes-images", "ContractError: expected unchanged scans.images"),
        ("keeps-state", "ContractError: expected that a scan's output does not depend on other"),
        ("uses-the-batch", "ContractError: expected that a scan's output does not depend on other"),
    ],
)
def test_a_cheat_fails_its_cell_in_one_line(cell, method, reason):
    result = cell(method, "sim-gamma1.5")
    assert result.status is Status.FAILED
    assert reason in result.reason
    assert "\n" not in result.reason


def psnr(result) -> float:
    return result.estimates["psnr"].mean


@pytest.mark.parametrize("method", ["reads-loaded-truth", "renders-the-truth"])
def test_a_harmless_cheat_gains_nothing(cell, method):
    """The truth is not loaded yet, and a pseudonym renders another subject."""
    result, floor = cell(method, "domain1"), cell("identity", "domain1")
    assert result.status is Status.DONE, result.reason
    assert psnr(result) <= psnr(floor)


def test_a_cheat_that_is_not_preventable_is_documented(cell):
    """Code of the same process can load what the harness can load."""
    assert psnr(cell("loads-the-truth", "domain1")) == math.inf
    assert "cannot be prevented" in Path(ROOT / "docs" / "fairness.md").read_text()
