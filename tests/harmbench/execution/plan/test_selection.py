"""The normalisation of a requested cohort: the user's choice, or that of the preset."""

from __future__ import annotations

from pathlib import Path

import pytest

from harmbench.data.cohort_request import CohortRequest
from harmbench.errors import UserError
from harmbench.execution.plan.selection import open_source
from harmbench.plugins import Registry
from helpers import PLUGINS


@pytest.mark.parametrize(
    ("preset", "choice", "normalization", "label"),
    [
        ("quick", None, "percentile", "phantom:4"),
        ("paper", None, "minmax", "phantom:4"),
        ("quick", "percentile", "percentile", "phantom:4"),
        ("quick", "minmax", "minmax", "phantom:4+minmax"),
        ("paper", "percentile", "percentile", "phantom:4+percentile"),
        ("paper", "nyul", "nyul", "phantom:4+nyul"),
    ],
)
def test_the_choice_wins_over_the_preset_and_is_named_if_it_is_another(
    preset: str, choice: str | None, normalization: str, label: str
) -> None:
    request = CohortRequest("phantom:4", normalization=choice)
    source = open_source(Registry.discover(), request, preset)
    assert (source.normalization, source.label) == (normalization, label)


def test_a_source_that_cannot_scale_volumes_keeps_its_own_normalization() -> None:
    registry = Registry.discover([Path(PLUGINS / "tiny_cohort.py")])
    source = open_source(registry, CohortRequest("tiny"), "quick")
    assert (source.normalization, source.label) == ("minmax", "tiny")
    with pytest.raises(UserError, match="no normalisation of the cohort 'tiny' 'percentile'"):
        open_source(registry, CohortRequest("tiny", normalization="percentile"), "quick")
