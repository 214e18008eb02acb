"""Covariates as a table, and what is known of each."""

from __future__ import annotations

import pandas as pd

from harmbench.data.covariates import Covariate, covariate_table, describe_covariates

TABLE = pd.DataFrame(
    {
        "covariates": [
            {"age": 30.0, "sex": "F", "group": "89+"},
            {"sex": "M", "group": "4"},
            {"age": 41.5, "sex": "F"},
        ]
    },
    index=[5, 6, 9],
)


def test_covariates_are_columns_with_missing_values():
    table = covariate_table(TABLE)
    assert list(table.columns) == ["age", "group", "sex"]
    assert list(table.index) == [5, 6, 9]
    assert table["age"].dtype == float
    assert table["age"].isna().tolist() == [False, True, False]
    assert table["sex"].tolist() == ["F", "M", "F"]


def test_each_covariate_is_described():
    assert describe_covariates(TABLE) == [
        Covariate(name="age", numeric=True, missing=1),
        Covariate(name="group", numeric=False, missing=1, texts=("89+",)),
        Covariate(name="sex", numeric=False, missing=0, texts=("F", "M")),
    ]


def test_a_cohort_without_covariates_has_none():
    table = pd.DataFrame({"covariates": [{}, {}]})
    assert covariate_table(table).shape == (2, 0)
    assert describe_covariates(table) == []
