"""A study of four subjects on two scanners, before any volume is prepared."""

from __future__ import annotations

import pytest

from harmbench.cohorts.bids.source import Bids
from harmbench.cohorts.study.digests import StudyDigests
from harmbench.cohorts.study.settings import StudySettings
from harmbench.data.prepare_options import PrepareOptions
from harmbench.data.scans import Grid
from helpers.volumes import coarse, labelled


@pytest.fixture
def study(tree):
    """Subjects A and B here, C and D there; A has labels."""
    tree.add("A", "here", labels=labelled(coarse()))
    for subject, site in (("B", "here"), ("C", "there"), ("D", "there")):
        tree.add(subject, site)
    return Bids(str(tree.root), tree.recipe)


@pytest.fixture
def settings_of(study, tree):
    """Return the settings of the study, with changes."""

    def settings(**changes):
        values = {
            "recipe": study.recipe,
            "grid": Grid("tiny", (5, 18, 22), (12.0, 9.6, 9.6)),
            "home": tree.home,
            "normalization": "minmax",
            "options": PrepareOptions(),
            "extractor": None,
        }
        return StudySettings(**values | changes)

    return settings


@pytest.fixture
def digests_of(study, settings_of):
    """Return the digests of the study, with changes of its settings."""

    def digests(**changes):
        return StudyDigests(study.scans, study.listing, settings_of(**changes))

    return digests
