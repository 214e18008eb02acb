"""Age that is predicted on harmonised scans."""

from __future__ import annotations

import numpy as np
import pytest

from harmbench.data.cohort import Cohort
from harmbench.errors import SkipCell
from harmbench_tasks.age import Age, r_squared, slope


@pytest.fixture
def aged_cohort(own_cohort, change_table) -> Cohort:
    """The tiny cohort with ages that follow from the share of white matter."""
    cohort = own_cohort()
    shares = {}
    for domain in ("target", "domain1"):
        for scans in cohort.scans(domain).batches():
            share = float((scans.labels == 3).sum() / scans.masks.sum())
            shares.setdefault(scans.subjects[0], share)
    low, high = min(shares.values()), max(shares.values())

    def with_age(scan):
        if scan["subject"] not in shares:
            return scan
        age = 20 + 60 * (high - shares[scan["subject"]]) / (high - low)
        return scan | {"covariates": scan["covariates"] | {"age": age}}

    return change_table(cohort, with_age)


def test_r_squared_and_slope_by_hand():
    subjects = np.array([[20.0, 30.0], [40, 40], [60, 50]])
    assert float(r_squared(subjects)) == pytest.approx(1 - 200 / 800)
    assert float(slope(subjects)) == pytest.approx(0.5)
    assert np.isnan(r_squared(np.array([[50.0, 40.0], [50, 60]])))


def test_ages_are_not_in_the_scores(context, aged_cohort):
    task = Age("domain1")
    scoring = context(task.setup(aged_cohort, 0))
    scorer = task.scorer(scoring)
    for batch in scoring.data.test.batches():
        scorer.add(batch, batch, None)
    assert {*scorer.table()["metric"]} == {"age_error", "age_bias"}
    assert "age" not in str(scoring.data.parameters)


def test_the_bounds_are_source_and_target(context, aged_cohort):
    task = Age("domain1")
    bounds = task.bounds(context(task.setup(aged_cohort, 0)))
    source, target = bounds["source as it is"], bounds["target scans of the same subjects"]
    assert target["age_error"].mean < source["age_error"].mean


def test_ages_are_part_of_the_question(small_cohort, aged_cohort):
    first, second = (Age("domain1").setup(cohort, 0) for cohort in (small_cohort, aged_cohort))
    assert first.test.digest == second.test.digest
    assert first.extra["test"].digest != second.extra["test"].digest


def test_too_few_ages_are_skipped_with_the_reason(own_cohort, change_table):
    def ageless(scan):
        kept = {name: value for name, value in scan["covariates"].items() if name != "age"}
        return scan | {"covariates": kept if scan["domain"] == "domain1" else scan["covariates"]}

    with pytest.raises(SkipCell, match="0 test subjects of 'domain1'"):
        Age("domain1").setup(change_table(own_cohort(), ageless), 0)


def test_ages_outside_of_the_range_of_the_target_are_skipped(aged_cohort, change_table):
    def older_source(scan):
        if scan["domain"] == "target":
            return scan
        return scan | {"covariates": scan["covariates"] | {"age": 95.0}}

    with pytest.raises(SkipCell, match="0 of [0-9]+ test scans of 'domain1'"):
        Age("domain1").setup(change_table(aged_cohort, older_source), 0)
