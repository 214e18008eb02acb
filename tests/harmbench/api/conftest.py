"""Results of the tiny cohort, computed once from Python."""

from __future__ import annotations

import pytest

import harmbench
from harmbench import Method, Needs
from helpers import PLUGINS

TINY = {"plugins": [PLUGINS / "tiny_cohort.py"], "progress": False}


class Darker(Method):
    """Multiplies intensities by 0.9."""

    name = "darker"
    needs = Needs.NOTHING
    summary = "multiplies intensities by 0.9"

    def forward(self, scans):
        """Return darker scans."""
        return scans.with_images(scans.images * 0.9)


@pytest.fixture(scope="module")
def home(keep_home, home_with_store):
    """A home with an MLflow store."""
    return home_with_store(keep_home / "home")


@pytest.fixture(scope="module")
def run(home):
    """Run on the tiny cohort, in the home of the module."""

    def call(methods, tasks, **options):
        return harmbench.run(methods, tasks, "tiny:12", home=home, **{**TINY, **options})

    return call


@pytest.fixture(scope="session")
def darker():
    """The class of a method that is in no plugin."""
    return Darker
