"""A tiny cohort of synthetic brains, made of tissue shells, for the checks."""

from __future__ import annotations

import functools
import json
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from scipy.ndimage import gaussian_filter

from harmbench.data.cohort import Cohort
from harmbench.data.cohort_writer import CohortWriter, ScanRecord, write_row
from harmbench.data.scans import Grid, minmax
from harmbench.util.hashing import digest
from harmbench.util.seeds import numpy_generator

# Rows and columns can be halved four times, as deep flows require.
TINY = Grid("tiny", (6, 32, 48), (8.0, 5.0, 4.0))

# Half of the grid along each axis, in radii of a head.
_EXTENT = (0.6, 1.2, 1.2)

# Intensity of CSF, grey and white matter on each scanner, and the noise.
_CONTRASTS = {
    "target": ((0.15, 0.55, 0.90), 0.010),
    "domain1": ((0.30, 0.50, 0.65), 0.015),
    "north": ((0.05, 0.60, 0.70), 0.020),
}

SOURCES = ("domain1", "north")

# Subject, session and split. domain1 has subjects of the target, in the same space, and two more;
# north has other subjects. p0 has two sessions on the target, and n0 two on north.
_SCANS = {
    "target": [
        ("p0", "1", "test"),
        ("p0", "2", "test"),
        ("p1", "1", "test"),
        ("p2", "1", "validation"),
        ("p3", "1", "train"),
        ("p4", "1", "train"),
        ("p5", "1", "train"),
        ("p6", "1", "train"),
    ],
    "domain1": [
        ("p1", "a", "test"),
        ("p0", "a", "test"),
        ("p3", "a", "train"),
        ("p4", "a", "train"),
        ("p5", "a", "train"),
        ("p7", "a", "train"),
        ("p8", "a", "train"),
    ],
    "north": [
        ("n0", "1", "test"),
        ("n0", "2", "test"),
        ("n1", "1", "test"),
        ("n2", "1", "train"),
        ("n3", "1", "train"),
    ],
}


def brain(
    grid: Grid, subject: str, session: str, domain: str
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_], npt.NDArray[np.uint8]]:
    """Return tissue shells; the subject determines their shape, the domain their contrast.

    Returns
    -------
    images, masks, labels
        `(S, H, W)` each: in [0, 1], bool, and as `Scans.labels`.
    """
    anatomy = numpy_generator(0, "anatomy", subject)
    axes = [np.linspace(-extent, extent, n) for n, extent in zip(grid.shape, _EXTENT, strict=True)]
    radius = np.sqrt(sum(axis**2 for axis in np.meshgrid(*axes, indexing="ij")))
    bumps = gaussian_filter(anatomy.standard_normal(grid.shape), (1, 4, 4))
    radius *= 1 + 0.12 * bumps / bumps.std()
    labels = np.select(
        [radius < 0.3, radius < 0.65, radius < 0.9, radius < 1], [1, 3, 2, 1], 0
    ).astype(np.uint8)
    masks = labels > 0
    tissues, noise = _CONTRASTS[domain]
    images = gaussian_filter(np.array([0.0, *tissues])[labels], (0, 0.6, 0.6))
    grain = numpy_generator(0, "noise", subject, session, domain).standard_normal(grid.shape)
    images = np.where(masks, (images + noise * grain).clip(0.01, None), 0)
    return minmax(torch.from_numpy(images.astype(np.float32))).numpy(), masks, labels


def _covariates(subject: str) -> dict[str, str | float]:
    """Return a subject's age in years, sex, and size of the head."""
    random = numpy_generator(0, "covariates", subject)
    return {
        "age": round(float(random.uniform(20, 80)), 1),
        "sex": str(random.choice(["F", "M"])),
        "head_size": round(float(random.normal(1, 0.05)), 3),
    }


def with_covariates(cohort: Cohort, names: Sequence[str]) -> Cohort:
    """Return a cohort with a number for each of these covariates that it does not have."""
    known = zip(cohort.table["subject"], cohort.table["covariates"], strict=True)
    values = [
        {
            **{
                name: round(float(numpy_generator(0, "covariates", name, subject).normal()), 3)
                for name in names
            },
            **covariates,
        }
        for subject, covariates in known
    ]
    table = cohort.table.assign(covariates=pd.Series(values, index=cohort.table.index))
    return cohort.with_splits(table, cohort.split, cohort.fold)


def write_cohort(directory: Path, grid: Grid = TINY) -> Cohort:
    """Write a cohort to disk: target, domain1 (paired, labelled) and north (neither)."""
    directory.mkdir(parents=True)
    writer = CohortWriter(directory, grid)
    records = []
    for domain, scans in _SCANS.items():
        labelled = domain != "north"
        folder = writer.begin_domain(domain, len(scans), labelled=labelled)
        for row, (subject, session, split) in enumerate(scans):
            images, masks, labels = brain(grid, subject, session, domain)
            write_row(folder, "images", row, images)
            write_row(folder, "masks", row, masks)
            if labelled:
                write_row(folder, "labels", row, labels)
            key = digest("small", domain, subject, session)
            records.append(
                ScanRecord(
                    domain=domain,
                    subject=subject,
                    session=session,
                    row=row,
                    key=key,
                    split=split,
                    labelled=labelled,
                    paired=labelled,
                    covariates=_covariates(subject),
                )
            )
    writer.finish(
        name="small",
        key=digest("small cohort", grid),
        kind="phantom",
        target="target",
        sources=SOURCES,
        records=records,
        left_out={},
    )
    return Cohort(directory)


@functools.lru_cache(maxsize=1)
def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="harmbench-testing-")


@functools.lru_cache(maxsize=1)
def tiny_cohort() -> Cohort:
    """Return the cohort, written once per process and removed at its end; do not change it.

    It has eight target scans, a source `domain1` with pairs and labels, and a source `north`
    without.
    """
    return write_cohort(Path(_folder().name) / "whole")


def without(*domains: str, labels: bool = True, pairs: bool = True) -> Cohort:
    """Return a copy of the tiny cohort whose files lack domains, labels or pairs."""
    return _without(domains, labels, pairs)


# Positional arguments only: the cache would take `f(a=1)` and `f(a=1, b=default)` for two calls.
@functools.cache
def _without(domains: tuple[str, ...], labels: bool, pairs: bool, /) -> Cohort:
    complete = tiny_cohort()
    directory = Path(_folder().name) / digest(domains, labels, pairs)
    hidden = shutil.ignore_patterns(*domains, *(() if labels else ("labels",)))
    shutil.copytree(complete.directory, directory, ignore=hidden)
    description = json.loads((directory / "cohort.json").read_text())
    description["sources"] = [name for name in description["sources"] if name not in domains]
    description["scans"] = _kept(description["scans"], domains, labels=labels, pairs=pairs)
    (directory / "cohort.json").write_text(json.dumps(description))
    return Cohort(directory)


def poisoned(*domains: str, labels: bool = True, pairs: bool = True) -> Cohort:
    """Return a copy of `without(...)` whose test images, the truth included, are NaN."""
    return _poisoned(domains, labels, pairs)


@functools.cache
def _poisoned(domains: tuple[str, ...], labels: bool, pairs: bool, /) -> Cohort:
    complete = _without(domains, labels, pairs)
    directory = complete.directory.with_name(f"{complete.directory.name}-poisoned")
    shutil.copytree(complete.directory, directory)
    nothing = np.full(complete.grid.shape, np.nan, np.float32)
    for scan in complete.table.itertuples():
        if scan.split == "test":
            write_row(directory / str(scan.domain), "images", int(str(scan.row)), nothing)
    return Cohort(directory)


def _kept(
    scans: Sequence[dict[str, Any]], domains: Sequence[str], *, labels: bool, pairs: bool
) -> list[dict[str, Any]]:
    return [
        {
            **scan,
            "labelled": scan["labelled"] and labels,
            "paired": scan["paired"] and pairs,
        }
        for scan in scans
        if scan["domain"] not in domains
    ]
