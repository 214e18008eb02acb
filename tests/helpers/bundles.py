"""Homes with results of a prepared cohort."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from harmbench.bundles.publication import Publication, publish
from harmbench.store.results import ResultsStore
from helpers.scored_cells import cell, scored

BASE = np.arange(20.0, 28.0)


def values(seed):
    """Values of eight subjects."""
    return BASE + np.random.default_rng(seed).normal(size=8)


def record(home, *pairs, command="harmbench run --cohort bids:/data/study -m unet"):
    """Record cells in a home."""
    with ResultsStore(home / "results").writer(command) as writer:
        return [writer.append(which, result) for which, result in pairs]


@pytest.fixture
def prepared(small_cohort, tmp_path):
    """Create a home that has the scans of the cohort, or has not."""

    def create(name, *, scans=True):
        home = tmp_path / name
        home.mkdir()
        if scans:
            shutil.copytree(small_cohort.directory, home / "cohorts" / "small")
        return home

    return create


@pytest.fixture
def real(small_cohort):
    """Return a cell of the cohort, as one of real scans."""

    def build(label, task, **changes):
        return cell(label, task, kind="real", cohort_key=small_cohort.key, **changes)

    return build


@pytest.fixture
def bundle(prepared, real, tmp_path):
    """Write a bundle of one result; return its path."""

    def write(name="lab", value=1.0, **options):
        home = prepared(f"home of {name}")
        record(home, (real("unet", "domain1"), scored(psnr=BASE + value)))
        path = tmp_path / f"{name}.harmbench.zip"
        publish(home, path, Publication(**options))
        return path

    return write
