"""Harmonise one image in Python."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel
import numpy as np

from harmbench.api.run import cohort_request, progress_on_stderr, setting_texts
from harmbench.data.cohort_request import CohortRequest
from harmbench.errors import UserError
from harmbench.execution.plan.request import Request
from harmbench.harmonization.checked_request import checked_covariates, checked_options
from harmbench.harmonization.folder import job_of
from harmbench.harmonization.harmonizer import (
    HarmonizeContext,
    from_fit,
    from_request,
)
from harmbench.harmonization.output_paths import OutputPaths, check_scan_paths
from harmbench.harmonization.precheck import check_scan
from harmbench.harmonization.scan import HarmonizeOptions, harmonize_scan
from harmbench.plugins import Registry
from harmbench.util.device import resolve
from harmbench.util.home import writable_home
from harmbench.util.progress import Progress

_SPATIAL = 3


def harmonize(
    image: Any,
    method: str | None = None,
    *,
    task: str | None = None,
    fit: str | None = None,
    affine: Any = None,
    brain_mask: Any = None,
    cohort: str | CohortRequest = "phantom",
    recipe: Path | str | None = None,
    preset: str = "quick",
    seed: int = 0,
    settings: Mapping[str, Any] | None = None,
    covariates: Mapping[str, float | str] | None = None,
    blend: float = 3.0,
    all_slices: bool = True,
    plugins: Sequence[Path | str] = (),
    device: str = "auto",
    home: Path | str | None = None,
    progress: bool = True,
) -> nibabel.Nifti1Image:
    """Harmonise a T1w image of a head or brain in its own space, as `harmbench harmonize` does.

    Parameters
    ----------
    image
        Path of a NIfTI file, nibabel image, or array `(X, Y, Z)` with an `affine`.
    method, task
        Name of the method, and the task whose fit of it is used; it is fitted now if necessary. A
        method that learns nothing needs no task.
    fit
        Beginning of the key of a stored fit, instead of `method`.
    affine
        `(4, 4)`, voxels to RAS in mm; of an array only.
    brain_mask
        Brain mask on the voxels of the image, in one of the same forms; an array has the affine of
        the image.
    cohort, recipe, preset, seed, settings
        As of `harmbench.run`, for the fit.
    covariates
        Those of the scan by name, such as `{"age": 63, "sex": "F"}`, for a method that declares
        them.
    blend
        Width in mm over which the change fades in at the border to unchanged voxels.
    all_slices
        Whether slices outside the grid are harmonised, too.
    plugins, device, home, progress
        As of `harmbench.run`.

    Returns
    -------
    nibabel.Nifti1Image
        In memory, with the header, shape and voxels of the image. A warning of Python gives
        reasons to inspect it.

    Raises
    ------
    UserError
        If the image or its form, the method, the task or the fit cannot be used.
    BadScanError
        If the scan cannot be harmonised, for instance since it is no head.

    Examples
    --------
    >>> import harmbench
    >>> image = harmbench.harmonize("T1w.nii.gz", "histogram", task="domain1")  # doctest: +SKIP
    """
    if (fit is None) == (method is None):
        raise UserError("give either fit= or method=")
    folder = writable_home() if home is None else Path(home)
    files = tuple(Path(path).resolve() for path in plugins)
    request = Request(
        methods=() if method is None else (method,),
        tasks=() if task is None else (task,),
        cohort=cohort_request(cohort, recipe),
        preset=preset,
        seeds=(seed,),
        assignments=setting_texts(settings),
    )
    with (
        progress_on_stderr(show=progress) as shown,
        tempfile.TemporaryDirectory(prefix="harmbench-harmonize-") as temporary,
    ):
        context = HarmonizeContext(
            registry=Registry.discover(files, shown.log, home=folder),
            plugins=files,
            home=folder,
            device=str(resolve(device)),
        )
        place = Path(temporary)
        scan = _as_file(image, affine, place / "image.nii")
        mask = None if brain_mask is None else _as_mask(brain_mask, scan, place / "mask.nii")
        options = HarmonizeOptions(blend, all_slices=all_slices)
        given = {name: str(value) for name, value in (covariates or {}).items()}
        warning = _write(
            scan, mask, place / "harmonized.nii", context, request, fit, options, given, shown
        )
        if warning is not None:
            warnings.warn(warning, stacklevel=2)
        return nibabel.Nifti1Image.from_bytes((place / "harmonized.nii").read_bytes())


def _write(
    scan: Path,
    mask: Path | None,
    output: Path,
    context: HarmonizeContext,
    request: Request,
    fit: str | None,
    options: HarmonizeOptions,
    covariates: Mapping[str, str],
    progress: Progress,
) -> str | None:
    """Write the harmonised scan; return reasons to inspect it, or None."""
    stored = None if fit is None else from_fit(context, fit, request.assignments)
    prepare = checked_options(context, stored, request)
    checked_covariates(context, fit, request, covariates, folder=False)
    outputs = OutputPaths(output, None, None)
    check_scan_paths(scan, mask, outputs)
    options = replace(options, prepare_options=prepare)
    job = job_of(scan, mask, outputs, context.home, options, covariates)
    check_scan(job, context.home, fit_follows=stored is None)
    harmonizer = stored or from_request(context, request, progress)
    warning = harmonize_scan(job, harmonizer, progress).warning
    return None if warning is None else f"{job.name}: {warning}"


def _as_mask(mask: Any, scan: Path, path: Path) -> Path:
    """Return the path of a mask; an array has the affine of the scan."""
    if not isinstance(mask, np.ndarray):
        return _as_file(mask, None, path)
    image: Any = nibabel.load(scan)
    return _as_file(mask, image.affine, path)


def _as_file(image: Any, affine: Any, path: Path) -> Path:
    """Return the path of an image; an image in memory is written to `path`.

    Raises
    ------
    UserError
        If it is no path, image or array, or an array has no affine.
    """
    if isinstance(image, (str, Path)):
        return Path(image)
    if isinstance(image, nibabel.spatialimages.SpatialImage):
        nibabel.save(image, path)
        return path
    if not isinstance(image, np.ndarray):
        raise UserError(
            f"an image of type {type(image).__name__} cannot be harmonised: give a path, a nibabel "
            "image, or a NumPy array with its affine"
        )
    if affine is None:
        raise UserError("an array has no voxel size and orientation: give affine=")
    matrix = np.asarray(affine, dtype=float)
    if image.ndim != _SPATIAL or matrix.shape != (4, 4):
        raise UserError(
            f"an array of shape {image.shape} with an affine of shape {matrix.shape} is no volume: "
            "give an array (X, Y, Z) and an affine (4, 4)"
        )
    # NIfTI has no bool, and few programs read 64-bit integers.
    data = image.astype(np.uint8 if image.dtype == bool else np.float32)
    new_image: Any = nibabel.Nifti1Image
    nibabel.save(new_image(data, matrix), path)
    return path
