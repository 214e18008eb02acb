"""Covariates of a user's scan: given by name, or in the tables of its folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from harmbench.cohorts.bids.subject_tables import read_participants, read_sessions
from harmbench.cohorts.study.covariates import covariates_of
from harmbench.data.covariate_values import typed_columns
from harmbench.data.scan_set import ScanSet
from harmbench.errors import BadScanError, UserError
from harmbench.util.name_list import first_names

_SHOWN = 10  # categories in an error


@dataclass(frozen=True)
class FittedCovariate:
    """A covariate as the fit received it.

    Attributes
    ----------
    name
        Its name.
    categories
        The texts that it may have; None for numbers.
    """

    name: str
    categories: tuple[str, ...] | None


def fitted_covariates(scans: ScanSet) -> tuple[FittedCovariate, ...]:
    """Return the covariates of scans as a method receives them; empty if it declares none."""
    table = scans.covariates
    if table is None:
        return ()
    return tuple(
        FittedCovariate(
            str(name),
            tuple(map(str, table[name].cat.categories))
            if isinstance(table[name].dtype, pd.CategoricalDtype)
            else None,
        )
        for name in table.columns
    )


def parse_covariates(assignments: Sequence[str]) -> dict[str, str]:
    """Return values by name from texts such as `age=63`.

    Raises
    ------
    UserError
        If a text has another form, or a name occurs twice.
    """
    values: dict[str, str] = {}
    for text in assignments:
        name, equals, value = (part.strip() for part in text.partition("="))
        if not (name and equals and value):
            raise UserError(f"--covariate '{text}' has not the form NAME=VALUE, such as age=63")
        if name in values:
            raise UserError(f"--covariate '{name}' occurs twice")
        values[name] = value
    return values


def check_given(
    given: Mapping[str, str], declared: Sequence[str], method: str, *, folder: bool
) -> None:
    """Check the names of given covariates against those that a method declares.

    Raises
    ------
    UserError
        If the method declares others, or the scans of a folder have them from its tables.
    """
    for name in given:
        if not declared:
            raise UserError(f"{method} uses no covariates; leave out '{name}'")
        if name not in declared:
            raise UserError.unknown("covariate", name, declared)
    if folder and given:
        raise UserError(
            "--covariate is for a single scan; the covariates of a folder are the columns of its "
            "participants.tsv"
        )
    missing = [name for name in declared if name not in given]
    if missing and not folder:
        options = " ".join(f"--covariate {name}=VALUE" for name in missing)
        raise UserError(f"{method} needs covariates of the scan: give {options}")


def folder_covariates(
    root: Path, scans: Mapping[Path, tuple[str, str]], declared: Sequence[str]
) -> dict[Path, dict[str, str]]:
    """Return the declared covariates of scans, from `participants.tsv` and `*_sessions.tsv`.

    Parameters
    ----------
    root
        The folder with `participants.tsv`.
    scans
        Subject and session of each scan.
    declared
        Names of the covariates.

    Returns
    -------
    dict
        Values by name for each scan; an empty text where a value is missing.

    Raises
    ------
    UserError
        If a table cannot be read, or contradicts itself.
    """
    if not declared:
        return {path: {} for path in scans}
    sessions: dict[str, list[str]] = {}
    for subject, session in scans.values():
        sessions.setdefault(subject, []).append(session)
    participants = read_participants(root, [*sessions])
    of_sessions = {
        subject: read_sessions(root / f"sub-{subject}", labels).rows
        for subject, labels in sessions.items()
    }
    result = {}
    for path, (subject, session) in scans.items():
        rows = (participants.rows.get(subject, {}), of_sessions[subject].get(session, {}))
        values = covariates_of(rows, ())
        result[path] = {name: values.get(name, "") for name in declared}
    return result


def require_values(values: Mapping[str, str]) -> None:
    """Check that a scan has all covariates.

    Raises
    ------
    BadScanError
        If one is missing; the message names all that are.
    """
    missing = [name for name, value in values.items() if not value]
    if missing:
        raise BadScanError(
            f"no value of {', '.join(missing)}; add it to participants.tsv or the subject's "
            "sessions.tsv"
        )


def typed_row(values: Mapping[str, str], fitted: Sequence[FittedCovariate]) -> pd.DataFrame | None:
    """Return the covariates of a scan as a method receives them: one row; None without any.

    Parameters
    ----------
    values
        Texts by name.
    fitted
        The covariates of the fit; empty for a method that learns nothing, where a number is what
        reads as one.

    Raises
    ------
    BadScanError
        If a value is no number, or a text that the fit has not seen.
    """
    if not values:
        return None
    if not fitted:
        return typed_columns(pd.DataFrame([dict(values)]))
    columns: dict[str, pd.Series] = {}
    for covariate in fitted:
        name, text = covariate.name, values[covariate.name]
        if covariate.categories is None:
            number = pd.to_numeric(pd.Series([text]), errors="coerce").astype(float)
            if not number.abs().lt(float("inf")).all():
                raise BadScanError(f"the covariate {name} must be a number, and is '{text}'")
            columns[name] = number
            continue
        if text not in covariate.categories:
            known = first_names(covariate.categories, _SHOWN)
            raise BadScanError(f"the covariate {name} is '{text}'; the fit has seen {known} only")
        columns[name] = pd.Series(pd.Categorical([text], categories=covariate.categories))
    return pd.DataFrame(columns)
