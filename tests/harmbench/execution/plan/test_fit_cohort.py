"""Fits on another cohort: shared with its own runs, every subject tested, checks before work."""

from __future__ import annotations

import dataclasses

import pytest

from harmbench.data.cohort_request import CohortRequest
from harmbench.errors import UserError
from harmbench.execution.plan.plan import make_plan
from harmbench.execution.plan.request import Request
from harmbench.execution.plan.selection import select
from harmbench.execution.schedule.run_options import RunOptions
from harmbench.plugins import Registry
from harmbench.util.progress import Silent
from helpers import PLUGINS

FITS = CohortRequest("tiny:7-others")
CROSSED = Request(
    methods=["identity", "histogram", "mean-ratio"],
    tasks=["domain1", "sim-exp"],
    cohort=CohortRequest("tiny"),
    fit_cohort=FITS,
)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("home")


@pytest.fixture
def registry(home, monkeypatch):
    monkeypatch.setenv("HARMBENCH_HOME", str(home))
    return Registry.discover([PLUGINS / "tiny_cohort.py", PLUGINS / "site_methods.py"])


def planned(registry, home, request):
    cells = make_plan(registry, select(registry, request), home, Silent()).cells
    return {(each.cell.method, each.cell.task): each for each in cells}


def test_fits_are_those_of_runs_on_the_fit_cohort_alone(registry, home):
    crossed = planned(registry, home, CROSSED)
    alone = planned(registry, home, dataclasses.replace(CROSSED, cohort=FITS, fit_cohort=None))
    for task in CROSSED.tasks:
        names = ("histogram", task)
        assert crossed[names].cell.fit_key == alone[names].cell.fit_key is not None
        assert crossed[names].cell.key != alone[names].cell.key
    assert crossed["histogram", "domain1"].cell.fit_cohort == "tiny"
    assert alone["histogram", "domain1"].cell.fit_cohort == ""


def test_every_subject_is_tested_and_none_of_them_is_learnt_from(registry, home):
    data = planned(registry, home, CROSSED)["histogram", "domain1"].data
    assert {*data.test.subjects} == {f"p{i}" for i in range(6)}
    assert all(name.startswith("r") for name in data.target.subjects)


def test_methods_that_need_the_source_are_skipped_with_the_reason(registry, home):
    cells = planned(registry, home, CROSSED)
    assert "source domain" in cells["mean-ratio", "domain1"].cell.skip
    assert cells["mean-ratio", "sim-exp"].cell.skip is None
    paired = dataclasses.replace(CROSSED, methods=["unet"], tasks=["domain1"])
    (cell,) = planned(registry, home, paired).values()
    assert "fits are on cohort 'tiny'" in cell.cell.skip


def test_a_fit_on_all_sites_is_tested_on_a_site_of_another_name(registry, home):
    request = dataclasses.replace(CROSSED, methods=["site-means"], tasks=["domain1"])
    (cell,) = planned(registry, home, request).values()
    assert cell.cell.skip is None
    assert cell.data.domain == "tiny/domain1"
    assert set(cell.fit.fit_data.sites) == {"goal", "domain1", "elsewhere"}


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"folds": 3}, "--folds 3"),
        ({"split": "tuning"}, "--split tuning"),
        ({"cohort": CohortRequest("tiny", split_file=PLUGINS / "split.csv")}, "--split-file"),
        ({"fit_cohort": CohortRequest("tiny")}, "--fit-cohort tiny"),
        ({"fit_cohort": CohortRequest("phantom:8")}, "'minmax' and fit cohort 'phantom:8'"),
    ],
)
def test_what_does_not_fit_is_an_error_before_anything_is_prepared(
    registry, monkeypatch, changes, name
):
    monkeypatch.setenv("TINY_COHORT_MUST_NOT_BE_PREPARED", "1")
    with pytest.raises(UserError, match=name):
        select(registry, dataclasses.replace(CROSSED, **changes))


def test_common_scans_of_the_two_are_an_error_that_names_them(registry, home):
    request = dataclasses.replace(CROSSED, fit_cohort=CohortRequest("tiny:5"))
    with pytest.raises(UserError, match="p1/1"):
        planned(registry, home, request)


def test_workers_receive_the_targets_and_the_fit_cohort():
    options = RunOptions(request=dataclasses.replace(CROSSED, targets=("each",)))
    read = RunOptions.from_json(options.to_json()).request
    assert (read.targets, read.fit_cohort, read.cohort) == (("each",), FITS, CROSSED.cohort)
