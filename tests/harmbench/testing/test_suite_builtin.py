"""All built-in methods and tasks pass the conformance suite."""

from __future__ import annotations

import pytest

from harmbench.plugins import Registry
from harmbench.testing import CheckStatus, check_method, check_task
from harmbench.testing.tiny import SOURCES
from helpers.segmentation_programs import install

TRAINED = ("unet", "cyclegan", "blindharmony", "blindcurve")


@pytest.fixture(autouse=True)
def programs(tmp_path, monkeypatch):
    """Put stand-ins for the programs of instruments on the PATH."""
    install(tmp_path / "bin", monkeypatch)


def built_in(kind):
    entries = Registry.discover().entries(kind, SOURCES)
    return [name for name, entry in entries.items() if entry.plugin.distribution == "harmbench"]


@pytest.mark.parametrize("name", built_in("methods"))
def test_methods(name):
    results = {result.check: result for result in check_method(name).results}
    if name in TRAINED:
        # It would be skipped for a fit that keeps no checkpoints.
        assert results["resume"].status is CheckStatus.PASSED


# `north` has neither labels nor subjects of the target, and no subject of the cohort travels.
REFUSED = (
    *("wmseg-north", "retest-north", "travel-north", "travel-domain1"),
    *("ventricles-north", "lesions-north", "unusual-north", "volumes-north", "atrophy-north"),
    *("volumes-synthseg-north", "volumes-fastsurfer-north"),
    # Neither has enough test subjects.
    *("order-north", "order-domain1"),
)


# Tasks that differ from another one of the list in one number, scanner or program.
ALIKE = (
    *("sim-gamma0.8", "sim-gamma0.9", "sim-gamma1.2", "sim-gamma1.3", "sim-gamma1.5"),
    *("classify-site-north", "volumes-fastsurfer-domain1"),
)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.slow if name in ALIKE else ())
        for name in built_in("tasks")
        if name not in REFUSED
    ],
)
def test_tasks(name):
    check_task(name)


@pytest.mark.parametrize("name", REFUSED)
def test_a_task_that_refuses_the_tiny_cohort_is_reported_as_unchecked(name):
    with pytest.raises(
        AssertionError, match=f"no check applied to the task '{name}'.*'(north|small|domain1)'"
    ):
        check_task(name)
