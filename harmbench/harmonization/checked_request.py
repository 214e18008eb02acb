"""What the command line and Python check of a request before a scan is read."""

from __future__ import annotations

from collections.abc import Mapping

from harmbench.data.prepare_options import PrepareOptions
from harmbench.execution.plan.request import Request
from harmbench.harmonization.harmonizer import (
    HarmonizeContext,
    Harmonizer,
    check_request,
    declared_covariates,
)
from harmbench.harmonization.scan_covariates import check_given


def checked_covariates(
    context: HarmonizeContext,
    fit: str | None,
    request: Request,
    given: Mapping[str, str],
    *,
    folder: bool,
) -> tuple[str, ...]:
    """Return the covariates that the method declares, after a check of those that are given.

    Parameters
    ----------
    context, request
        Plugins, and the method.
    fit
        Beginning of the key of a stored fit, instead of the method; or None.
    given
        Values of one scan by name.
    folder
        Whether a folder of scans is harmonised, whose tables have the values.

    Raises
    ------
    UserError
        If a covariate is missing, or is not declared.
    """
    declared = () if fit is not None else declared_covariates(context, request)
    name = f"the fit {fit}" if fit is not None else f"'{request.methods[0]}'"
    check_given(given, declared, name, folder=folder)
    return declared


def checked_options(
    context: HarmonizeContext, stored: Harmonizer | None, request: Request
) -> PrepareOptions:
    """Return how scans are prepared: as for a stored fit, or as the request says.

    Raises
    ------
    UserError
        If the method, the task or the cohort of the request cannot be used.
    """
    if stored is not None:
        return stored.prepare_options(request.cohort.options.brain_extraction)
    check_request(context, request)
    return request.cohort.options
