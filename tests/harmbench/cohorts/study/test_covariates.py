"""Covariates from the tables of a study."""

from __future__ import annotations

import pytest

from harmbench.cohorts.study.covariates import age_in_years, covariates_of, typed_covariates


def test_a_later_row_overrides_and_missing_values_are_left_out():
    rows = ({"id": "x", "age": "30", "sex": "n/a"}, {"age": "31", "hand": "NA", "score": " "})
    assert covariates_of(rows, ("id",)) == {"age": "31"}
    # A missing value of the session does not remove that of the subject.
    assert covariates_of(({"age": "30"}, {"age": "n/a"}), ()) == {"age": "30"}


def test_a_column_is_of_one_type():
    scans = [{"age": "30", "group": "1", "x": "inf"}, {"age": "4e1", "group": "b"}, {}]
    assert typed_covariates(scans) == [
        {"age": 30.0, "group": "1", "x": "inf"},
        {"age": 40.0, "group": "b"},
        {},
    ]


@pytest.mark.parametrize(("text", "age"), [("30.5", 30.5), ("89+", None), ("nan", None)])
def test_an_age_is_a_number(text, age):
    assert age_in_years({"age": text}) == age
    assert age_in_years({}) is None
