"""Design matrices of covariates, the same for training scans and new scans."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

Array = npt.NDArray[np.float64]
# The categories of a text, without the first; none for a number.
Columns = Mapping[str, Sequence[str]]


def columns_of(covariates: pd.DataFrame | None) -> dict[str, list[str]]:
    """Return the categories by covariate that occur in the training scans."""
    if covariates is None:
        return {}
    return {
        str(name): sorted(map(str, values.unique()))[1:] if is_text(values) else []
        for name, values in covariates.items()
    }


def is_text(values: pd.Series) -> bool:
    """Whether a covariate has categories."""
    return isinstance(values.dtype, pd.CategoricalDtype)


def design(covariates: pd.DataFrame | None, columns: Columns, n_scans: int) -> Array:
    """Return the design matrix of N scans: `(N, p)`.

    A number is one column; a text has one column for each category but the first. A category
    that no training scan has counts as the first.
    """
    parts = []
    for name, categories in columns.items():
        assert covariates is not None
        values = covariates[name]
        if is_text(values):
            parts += [(values == category).to_numpy(float) for category in categories]
        else:
            parts.append(values.to_numpy(float))
    return np.stack(parts, axis=1) if parts else np.zeros((n_scans, 0))
