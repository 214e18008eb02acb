"""The covariates of a scan set: typed columns, and the scans that lack a value."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from harmbench.util.hashing import digest


def typed_columns(covariates: pd.DataFrame) -> pd.DataFrame:
    """Return covariates with a column of numbers as float64, and any other as categories.

    Parameters
    ----------
    covariates
        One row per scan and one column per covariate; missing values are NaN or None.

    Returns
    -------
    pandas.DataFrame
        A column with a text has the sorted texts as its categories, so that the same values of
        other rows of the same table get the same codes.

    Examples
    --------
    >>> typed = typed_columns(pd.DataFrame({"age": [30, 41], "sex": ["M", "F"]}))
    >>> typed["age"].dtype.name, list(typed["sex"].cat.categories)
    ('float64', ['F', 'M'])
    """
    columns = {}
    for name in covariates.columns:
        values = covariates[name]
        numbers = pd.to_numeric(values, errors="coerce")
        if (numbers.notna() == values.notna()).all():
            columns[str(name)] = numbers.astype(float)
        else:
            texts = values.map(str, na_action="ignore")
            categories = sorted(texts.dropna().unique())
            columns[str(name)] = pd.Series(
                pd.Categorical(texts, categories=categories), index=values.index
            )
    return pd.DataFrame(columns, index=covariates.index)


def lacking(known: pd.DataFrame | None, names: Sequence[str], n_scans: int) -> dict[str, list[int]]:
    """Return the places of the scans that lack a value, by covariate; complete ones are left out.

    Parameters
    ----------
    known
        One row per scan, or None if nothing is known of them.
    names
        The covariates.
    n_scans
        Number of scans.
    """
    missing: dict[str, list[int]] = {}
    for name in names:
        if known is None or name not in known:
            places = list(range(n_scans))
        else:
            places = [place for place, lacks in enumerate(known[name].isna()) if lacks]
        if places:
            missing[name] = places
    return missing


def covariates_digest(covariates: pd.DataFrame) -> str:
    """Hash names, categories and values of typed covariates."""
    columns = []
    for name in covariates.columns:
        values = covariates[name]
        categorical = isinstance(values.dtype, pd.CategoricalDtype)
        categories = [str(text) for text in values.cat.categories] if categorical else None
        columns.append([str(name), categories, values.tolist()])
    return digest("covariates", columns)


def by_scan(covariates: pd.DataFrame | None, n_scans: int) -> list[dict[str, float | str]]:
    """Return the covariates of each scan by name; empty if there are none."""
    if covariates is None:
        return [{} for _ in range(n_scans)]
    rows = covariates.astype(object).to_dict("records")
    return [{str(name): value for name, value in row.items()} for row in rows]


def rows_at(table: pd.DataFrame | None, places: Sequence[int]) -> pd.DataFrame | None:
    """Return the rows of scans at places, numbered from 0."""
    return None if table is None else table.iloc[list(places)].reset_index(drop=True)
