"""Each metric has its own key: a new one adds numbers and changes no other."""

from __future__ import annotations

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
from helpers import PLUGINS

BRIGHTNESS = """
from harmbench import Metric, hookimpl

class Brightness(Metric):
    name = "brightness"
    summary = "mean of the image"
    version = "{version}"

    def applies(self, harmonized, references, target):
        return True

    def measure(self, harmonized, references, target):
        return harmonized.images.mean(dim=(-2, -1)) * {factor}

@hookimpl
def register_metrics():
    return {{"brightness": Brightness}}
"""


@pytest.fixture
def computed(tmp_path, compute, monkeypatch):
    """Run `identity` on tasks of the tiny cohort, with further plugins."""
    monkeypatch.setenv("COUNTS_LOG", str(tmp_path / "fits.log"))

    def run(*files, tasks=("domain1",)):
        registry = Registry.discover(
            [PLUGINS / "tiny_cohort.py", PLUGINS / "measuring_tasks.py", *files]
        )
        request = Request(methods=["identity"], tasks=tasks, cohort=CohortRequest("tiny"))
        plan = make_plan(registry, select(registry, request), tmp_path, Silent())
        runner = Runner(
            registry=registry, home=tmp_path, device=torch.device("cpu"), progress=Silent()
        )
        results, _ = compute(plan, runner)
        return {planned.cell.task: (planned.cell, result) for planned, result in results}

    return run


def metric_file(folder, version, factor):
    path = folder / f"brightness{version}{factor}.py"
    path.write_text(BRIGHTNESS.format(version=version, factor=factor))
    return path


def test_a_metric_that_is_registered_later_changes_no_other_number(computed, tmp_path):
    tasks = ("domain1", "metered")
    before = computed(tasks=tasks)
    after = computed(metric_file(tmp_path, "1", 1), tasks=tasks)
    (old_cell, old), (new_cell, new) = before["domain1"], after["domain1"]
    assert (new_cell.key, new_cell.question) == (old_cell.key, old_cell.question)
    assert new.status is Status.DONE
    state = new.scores[new.scores["metric"] != "brightness"].reset_index(drop=True)
    assert state.equals(old.scores)
    assert {**new.estimates, **old.estimates} == new.estimates
    assert set(new.estimates) - set(old.estimates) == {"brightness"}
    assert new.facts["environment"] == old.facts["environment"]
    assert (new.folder / "figure.png").read_bytes() == (old.folder / "figure.png").read_bytes()
    # Its task computes no registered metric.
    assert after["metered"][1].status is Status.CACHED
    again = computed(metric_file(tmp_path, "1", 1))
    assert again["domain1"][1].status is Status.CACHED
    assert again["domain1"][1].scores.equals(new.scores)


def test_only_the_metric_with_changed_code_is_computed_again(computed, tmp_path):
    (_, one), (_, two) = (
        computed(metric_file(tmp_path, "1", factor))["domain1"] for factor in (1, 2)
    )
    assert two.status is Status.DONE
    brightness = [result.estimates["brightness"].mean for result in (one, two)]
    assert brightness[1] == pytest.approx(2 * brightness[0])
    assert one.estimates["psnr"] == two.estimates["psnr"]


def test_a_metric_that_is_no_longer_registered_keeps_its_numbers(computed, tmp_path):
    _, one = computed(metric_file(tmp_path, "1", 1))["domain1"]
    _, two = computed()["domain1"]
    assert two.status is Status.CACHED
    assert two.estimates == one.estimates
