"""What methods on all sites and with covariates receive, and why cells are skipped."""

from __future__ import annotations

import dataclasses

import pytest

from harmbench.contracts.method import Method
from harmbench.contracts.needs import Needs
from harmbench.data.cohort_request import CohortRequest
from harmbench.errors import BlindnessError
from harmbench.execution.plan.plan import make_plan
from harmbench.execution.plan.request import Request
from harmbench.execution.plan.selection import select
from harmbench.execution.plan.unmet import unmet
from harmbench.plugins import Registry
from harmbench.util.progress import Silent
from harmbench_tasks.atrophy import Atrophy
from harmbench_tasks.domains import Domain
from harmbench_tasks.lesions import Lesions
from harmbench_tasks.target_in import TargetIn
from helpers import PLUGINS


def method_with(needs, covariates=(), control=None):
    return type(
        "Declares",
        (Method,),
        {"needs": needs, "covariates": covariates, "control": control, "name": "declares"},
    )


def planned(keep_home, methods, tasks, cohort="tiny:12", progress=None):
    files = [PLUGINS / "tiny_cohort.py", PLUGINS / "site_methods.py"]
    registry = Registry.discover(files)
    request = Request(methods=methods, tasks=tasks, cohort=CohortRequest(cohort))
    selection = select(registry, request)
    return make_plan(registry, selection, keep_home, progress or Silent()).cells


def test_the_truth_is_the_reference_line_only_without_repeats(small_cohort):
    without = Domain("domain1").setup(small_cohort, 0)
    with_repeats = dataclasses.replace(without, repeats=without.references)
    truth, repeat = method_with(Needs.TRUTH), method_with(Needs.REPEAT)
    assert unmet(truth, without) is None
    assert unmet(repeat, without) == (
        "needs repeat scans, and only 1 of 2 test scans have a repeat on 'target' in the same space"
    )
    assert unmet(repeat, with_repeats) is None
    assert "reference line is a rescan" in unmet(truth, with_repeats)


@pytest.mark.parametrize(
    ("task", "why"),
    [(TargetIn(), "the truth itself"), (Lesions("sim"), "source"), (Atrophy("sim"), "deformation")],
    ids=lambda value: getattr(value, "name", None),
)
def test_a_task_without_truth_says_why(small_cohort, task, why):
    reason = unmet(method_with(Needs.TRUTH), task.setup(small_cohort, 0))
    assert reason.startswith("needs the paired truth, and ")
    assert why in reason


def test_all_tasks_of_a_cohort_share_one_fit_on_all_sites(keep_home):
    tasks = ["domain1", "site-elsewhere", "wmseg-domain1", "classify-site-domain1"]
    cells = planned(keep_home, ["site-means"], tasks)
    assert [cell.cell.skip for cell in cells] == [None] * 4
    assert len({cell.cell.fit_key for cell in cells}) == 1
    data = cells[0].fit.fit_data
    assert list(data.sites) == ["goal", "domain1", "elsewhere"]
    subjects = [subject for scans in data.sites.values() for subject in set(scans.subjects)]
    assert len(subjects) == len(set(subjects))
    tested = {subject for cell in cells for subject in cell.data.test.subjects}
    assert not tested & set(subjects)
    assert data.target.digest == data.sites["goal"].digest
    with pytest.raises(BlindnessError, match=r"Needs\.PAIRED"):
        data.pairs  # noqa: B018
    with pytest.raises(BlindnessError, match=r"Needs\.UNPAIRED"):
        data.source  # noqa: B018


def test_an_unseen_site_is_in_no_fit_and_only_for_methods_on_all_sites(keep_home):
    methods = ["identity", "scale", "cyclegan", "site-means"]
    cells = planned(keep_home, methods, ["domain1", "unseen-domain1"])
    by_name = {(cell.cell.task, cell.cell.method): cell for cell in cells}
    seen, unseen = (by_name[task, "site-means"] for task in ("domain1", "unseen-domain1"))
    assert unseen.cell.family == "scanners"
    assert unseen.data.test.digest == seen.data.test.digest
    assert list(unseen.fit.fit_data.sites) == ["goal", "elsewhere"]
    assert unseen.cell.fit_key != seen.cell.fit_key
    assert by_name["unseen-domain1", "identity"].cell.skip is None
    for name in ("scale", "cyclegan"):
        skip = by_name["unseen-domain1", name].cell.skip
        assert skip.startswith("the task leaves 'domain1' out of fits on all sites")


def test_a_simulated_shift_is_a_site_of_its_own(keep_home):
    (cell,) = planned(keep_home, ["site-means"], ["sim-exp"])
    sites = cell.fit.fit_data.sites
    assert list(sites) == ["goal", "sim-exp"]
    assert cell.data.domain == "sim-exp"
    assert not {*sites["goal"].subjects} & {*sites["sim-exp"].subjects}
    assert not sites["goal"].load([0]).images.equal(sites["sim-exp"].load([0]).images)


def test_one_site_is_not_enough(small_cohort):
    data = dataclasses.replace(
        Domain("domain1").setup(small_cohort, 0),
        sites={"target": small_cohort.scans("target", "train")},
    )
    assert unmet(method_with(Needs.SITES), data) == (
        "needs training scans of several sites, and there are those of 'target' only"
    )


def test_a_site_without_subjects_skips_its_task(small_cohort):
    sites = {name: small_cohort.scans(name, "train") for name in ("target", "north")}
    data = dataclasses.replace(Domain("domain1").setup(small_cohort, 0), sites=sites)
    skip = unmet(method_with(Needs.SITES), data)
    assert skip.startswith("needs training scans of 'domain1', and all its training subjects")


def test_covariates_are_part_of_the_keys_of_methods_that_declare_them(keep_home):
    cells = planned(keep_home, ["site-means", "age-means"], ["domain1"])
    means, aged = cells
    assert (means.cell.covariates, aged.cell.covariates) == ([], ["age", "sex"])
    assert means.fit.title == "fit of site-means on all sites, seed 0"
    assert aged.fit.title == "fit of age-means on all sites with age, sex, seed 0"
    fitted = aged.fit.fit_data
    assert list(fitted.target.covariates.columns) == ["age", "sex"]
    assert list(fitted.target.covariates["sex"].cat.categories) == ["F", "M"]
    assert means.fit.fit_data.target.covariates is None
    assert fitted.digest != means.fit.fit_data.digest
    other = planned(keep_home, ["site-means", "age-means"], ["domain1"], "tiny:12-noage")
    assert other[0].cell.fit_key == means.cell.fit_key


def test_test_scans_without_a_covariate_skip_the_cell(keep_home):
    (cell,) = planned(keep_home, ["age-means"], ["domain1"], "tiny:12-noage")
    count = len(cell.data.test)
    assert cell.cell.skip.startswith(
        f"needs the covariate 'age', and 1 of {count} test scans have no value: p"
    )


def test_an_unknown_covariate_skips_the_cell(small_cohort):
    data = Domain("domain1").setup(small_cohort, 0)
    assert unmet(method_with(Needs.TARGET, ("height",)), data).startswith(
        "needs the covariate 'height', and 2 of 2 test scans have no value: p1/a, p0/a"
    )


def test_training_scans_without_a_covariate_are_left_out_and_reported(keep_home, kills):
    progress = kills()
    cells = planned(keep_home, ["age-means"], ["site-elsewhere"], "tiny:12-noage", progress)
    assert cells[0].cell.skip is None
    lines = [line for line in progress.lines if "left out of its fit" in line]
    assert len(lines) == 2
    assert all(line.startswith("age-means: 1 of ") for line in lines)
    assert all("have no value of age: p" in line for line in lines)
    lacking = {line.rpartition(": ")[2].partition("/")[0] for line in lines}
    data = cells[0].fit.fit_data
    assert not lacking & {*data.target.subjects, *data.validation.subjects}
