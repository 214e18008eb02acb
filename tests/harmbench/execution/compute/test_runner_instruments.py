"""What a task measures with: fitted once, on the target alone, and never a method's cost."""

from __future__ import annotations

import dataclasses
import json
import math

import pytest
import torch

from harmbench.contracts.cell import Status
from harmbench.contracts.needs import Needs
from harmbench.data.cohort_request import CohortRequest
from harmbench.errors import UserError
from harmbench.execution.compute.runner import Runner
from harmbench.execution.plan.plan import make_plan
from harmbench.execution.plan.request import Request
from harmbench.execution.plan.selection import select
from harmbench.plugins import Registry
from harmbench.store.fit_descriptions import stored_fits
from harmbench.util.progress import Silent
from helpers import PLUGINS

FILES = [PLUGINS / "tiny_cohort.py", PLUGINS / "measuring_tasks.py"]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """A home with the tiny cohort in it."""
    home = tmp_path_factory.mktemp("home")
    plan(home, ["identity"], ["sim-exp"])
    return home


def plan(home, methods, tasks, **options):
    registry = Registry.discover(FILES)
    request = Request(methods=methods, tasks=tasks, cohort=CohortRequest("tiny"), **options)
    return make_plan(registry, select(registry, request), home, Silent())


@pytest.fixture
def bench(prepared, tmp_path, monkeypatch, compute):
    """Run methods on tasks; results and the log of the fits are kept in a folder of the test's."""
    monkeypatch.setenv("COUNTS_LOG", str(tmp_path / "fits.log"))
    (tmp_path / "cohorts").symlink_to(prepared / "cohorts")

    def run(methods, tasks, **options):
        planned = plan(tmp_path, methods, tasks, **options)
        runner = Runner(
            registry=Registry.discover(FILES),
            home=tmp_path,
            device=torch.device("cpu"),
            progress=Silent(),
        )
        results, _ = compute(planned, runner)
        return {(planned.cell.method, planned.cell.task): result for planned, result in results}

    run.home = tmp_path
    run.log = lambda: (tmp_path / "fits.log").read_text().splitlines()
    return run


def test_one_fit_serves_all_methods_and_all_sources(bench):
    results = bench(["identity", "copies"], ["metered", "metered-elsewhere"])
    assert {result.status for result in results.values()} == {Status.DONE}
    # One of the three target subjects for training is a training subject of the source.
    assert [line for line in bench.log() if line.startswith("meter")] == [
        "meter, seed 0, 2 subjects"
    ]
    keys = {result.facts["instruments"]["brightness"]["fit"] for result in results.values()}
    assert len(keys) == 1
    assert len([path for path in (bench.home / "fits").iterdir() if path.is_dir()]) == 2


def test_bounds_are_computed_once_a_task_and_recorded_with_every_cell(bench):
    results = bench(["identity", "copies"], ["metered"])
    assert bench.log().count("bounds") == 1
    first, second = (result.facts["bounds"] for result in results.values())
    assert first == second
    assert first["source"]["metered"]["mean"] == pytest.approx(
        results["identity", "metered"].scores["value"].iloc[0]
    )
    assert (first["source"]["metered"]["low"], first["source"]["metered"]["high"]) == ("nan", "inf")
    averaged = first["by subject"]["metered"]
    assert (averaged["mean"], averaged["n"]) == ("inf", 2)
    assert averaged["subjects"] == {"p0": 2.0, "p1": "inf"}
    stored = json.loads((results["identity", "metered"].folder / "result.json").read_text())
    assert stored["facts"]["bounds"] == first


def test_costs_and_curves_of_an_instrument_are_not_the_methods(bench):
    results = bench(["identity", "copies"], ["metered"])
    for result in results.values():
        its = result.facts["instruments"]["brightness"]
        assert its["name"] == "meter"
        assert its["fit_level"] > 0
        assert result.curves == ()
        assert "fit_level" not in result.facts
    assert results["identity", "metered"].facts["fit_seconds"] == 0


def test_numbers_that_are_no_means_over_subjects_are_estimates_all_the_same(bench):
    result = bench(["identity"], ["metered"])["identity", "metered"]
    assert set(result.estimates) == {"metered", "subjects"}
    assert math.isfinite(result.estimates["metered"].mean)
    assert set(result.scores["metric"]) == {"metered"}
    assert "metered" in result.facts["lower_is_better"]
    assert "subjects" not in result.facts["lower_is_better"]
    assert result.facts["headline"] == ["metered"]


def test_labels_of_the_target_are_in_an_instruments_fit_and_no_others(bench):
    (planned,) = plan(bench.home, ["copies"], ["metered"]).cells
    (meter,) = planned.instruments.values()
    assert meter.fit_data.target.labelled
    assert meter.fit_data.digest != planned.fit.fit_data.digest
    assert planned.fits == (meter, planned.fit)
    whole = planned.data.fit_data(0)
    assert whole.of_target().digest == dataclasses.replace(whole, _source=None).of_target().digest
    few = whole.target.subset([0])
    some = dataclasses.replace(planned.data, labelled=(few, whole.validation)).fit_data(0)
    assert some.of_target().target == few
    assert len(some.restricted(Needs.PAIRED).target) == len(whole.target)


def test_the_key_of_a_cell_depends_on_its_instruments(bench):
    def cell(**options):
        (planned,) = plan(bench.home, ["identity"], ["metered"], **options).cells
        return planned.cell, planned.result_key

    (plain, bounds), (other, others) = cell(), cell(assignments=["meter.factor=2"])
    assert plain.instruments.keys() == other.instruments.keys() == {"brightness"}
    assert plain.instruments != other.instruments
    assert plain.key != other.key
    assert bounds != others
    assert (plain.task, other.task) == ("metered", "metered[meter.factor=2]")
    rounded, _ = cell(assignments=["meter.rounded=true"])
    assert rounded.instruments == plain.instruments
    assert rounded.key != plain.key


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("meter.fcator=2", "no setting of 'meter' 'fcator'; did you mean 'factor'"),
        ("metre.factor=2", "no method 'metre'; did you mean 'meter'"),
    ],
)
def test_wrong_settings_of_an_instrument_raise_an_error(bench, assignment, message):
    with pytest.raises(UserError, match=message):
        plan(bench.home, ["identity"], ["metered"], assignments=[assignment])


def test_a_task_that_refuses_the_cohort_needs_no_instrument(bench):
    result = bench(["identity"], ["refuses"])["identity", "refuses"]
    assert (result.status, result.reason) == (Status.SKIPPED, "nothing is labelled")
    assert not (bench.home / "fits.log").exists()


def test_instruments_are_not_listed_as_methods_that_harmonise(bench):
    bench(["copies"], ["metered"])
    assert [fit["method"] for fit in stored_fits(bench.home).values()] == ["copies"]
