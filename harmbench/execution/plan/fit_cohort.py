"""The cohort that fits are made on, where that is not the cohort that is tested."""

from __future__ import annotations

import numpy as np

from harmbench.data.cohort import Cohort
from harmbench.data.cohort_source import CohortSource
from harmbench.data.fit_cohort import crossed
from harmbench.errors import UserError
from harmbench.execution.plan.request import Request
from harmbench.util.progress import Progress

# Median voxel sizes of two cohorts that differ by more than this share are a doubt.
_VOXEL_SHARE = 0.2


def check_request(request: Request) -> None:
    """Check that a request with a fit cohort tests every subject, of another cohort.

    Raises
    ------
    UserError
        If it divides the subjects, or if the two cohorts are one.
    """
    fits = request.fit_cohort
    if fits is None:
        return
    if (fits.name, fits.recipe) == (request.cohort.name, request.cohort.recipe):
        raise UserError(
            f"--fit-cohort {fits.name} is the cohort that is tested: leave out --fit-cohort"
        )
    divided = {
        f"--folds {request.folds}": bool(request.folds),
        "--split tuning": request.split == "tuning",
        "--split-file": request.cohort.split_file is not None,
    }
    for option, given in divided.items():
        if given:
            raise UserError(
                f"{option} divides the subjects of cohort '{request.cohort.name}', and with "
                f"--fit-cohort all of them are tested: leave out {option}"
            )


def check_preparation(source: CohortSource, fits: CohortSource) -> None:
    """Check that scans of both cohorts are prepared in the same way; neither is opened.

    Both have the grid of the preset and the same options, and are prepared by the same code.

    Raises
    ------
    UserError
        If the normalisations differ, or learn from each cohort.
    """
    if source.normalization != fits.normalization:
        common = [name for name in source.normalizations if name in fits.normalizations]
        advice = f"give --normalize {' or '.join(common)}" if common else "no normalisation suits"
        raise UserError(
            f"cohort '{source.title}' is normalised by '{source.normalization}' and fit cohort "
            f"'{fits.title}' by '{fits.normalization}': {advice}"
        )
    if learns(source.normalization):
        raise UserError(
            f"the normalisation '{source.normalization}' learns from the target of each cohort, so "
            f"'{source.title}' and '{fits.title}' would differ: choose another --normalize"
        )


def learns(normalization: str) -> bool:
    """Return whether a normalisation learns from training scans of the target."""
    # Imported here, since it takes long and most commands prepare nothing.
    from harmbench.preprocessing import normalization as normalizations

    return normalizations.normalization(normalization).learns


def fitted_on(cohort: Cohort, fits: Cohort, progress: Progress) -> Cohort:
    """Return a cohort that is tested by fits on another one, and log how their scans differ.

    Raises
    ------
    UserError
        If the fit cohort has nothing to learn from, or shares scans with the other one.
    """
    if not len(fits.scans(fits.target, "train")):
        raise UserError(
            f"the target '{fits.target}' of fit cohort '{fits.name}' has no training scans: choose "
            "another --fit-cohort"
        )
    tested, fitted = _median_voxel(cohort), _median_voxel(fits)
    if tested and fitted and not np.allclose(tested, fitted, rtol=_VOXEL_SHARE):
        texts = ["×".join(f"{mm:g}" for mm in size) for size in (tested, fitted)]
        progress.log(
            f"doubt: scans of '{cohort.name}' were acquired at {texts[0]} mm, and scans of the fit "
            f"cohort '{fits.name}' at {texts[1]} mm (medians)"
        )
    return crossed(cohort, fits)


def _median_voxel(cohort: Cohort) -> tuple[float, ...]:
    """Return the median voxel size in mm, its edges sorted; empty if none is recorded."""
    sizes = [sorted(size) for size in cohort.voxel_sizes.values() if len(size) == 3]
    return tuple(np.median(sizes, axis=0).tolist()) if sizes else ()
