"""Covariates of a cohort's scans: age, sex and whatever else a study's tables say."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd


@dataclass(frozen=True, kw_only=True)
class Covariate:
    """What is known of a covariate.

    Attributes
    ----------
    name
        Its column in the study's table.
    numeric
        Whether all its values are numbers.
    missing
        Number of scans without a value.
    texts
        Its values that are no numbers, at most three: all of a text, the odd ones of a number.
    """

    name: str
    numeric: bool
    missing: int
    texts: tuple[str, ...] = ()


def covariate_table(table: pd.DataFrame) -> pd.DataFrame:
    """Return the covariates of scans, one column each; missing values are NaN.

    Parameters
    ----------
    table
        Rows of a cohort's table.

    Returns
    -------
    pandas.DataFrame
        With the index of `table`.
    """
    names = sorted({name for values in table["covariates"] for name in values})
    rows = [[values.get(name) for name in names] for values in table["covariates"]]
    covariates = pd.DataFrame(rows, index=table.index, columns=names)
    return covariates.infer_objects()


def describe_covariates(table: pd.DataFrame) -> list[Covariate]:
    """Return what is known of each covariate of the scans in a cohort's table."""
    covariates = covariate_table(table)
    described = []
    for name in covariates.columns:
        values = covariates[name]
        numbers = pd.to_numeric(values, errors="coerce")
        texts = [str(value) for value in values[values.notna() & numbers.isna()].unique()]
        described.append(
            Covariate(
                name=str(name),
                numeric=not texts,
                missing=int(values.isna().sum()),
                texts=tuple(sorted(texts)[:3]),
            )
        )
    return described
