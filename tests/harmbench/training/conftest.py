"""Scans to train on."""

from __future__ import annotations

import pytest


@pytest.fixture
def target(small_cohort):
    return small_cohort.scans("target", "train")
