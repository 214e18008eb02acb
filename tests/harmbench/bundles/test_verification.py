"""Which results are recomputed, and what counts as a difference."""

from __future__ import annotations

import math

import pytest

from harmbench.bundles.archive import read_archive
from harmbench.bundles.publication import Publication, publish
from harmbench.bundles.verification import Confirmation, chosen_records
from harmbench.errors import UserError
from helpers.bundles import BASE, record
from helpers.scored_cells import scored


@pytest.fixture
def archive(prepared, real, tmp_path):
    """A bundle of three results that took different times."""
    home = prepared("home")
    for label, seconds in {"slow[a=1]": 9.0, "fast": 1.0, "medium": 5.0}.items():
        result = scored(psnr=BASE)
        result.facts["fit_seconds"] = seconds
        record(home, (real(label, "domain1", method=label.split("[")[0], target="goal"), result))
    path = tmp_path / "lab.harmbench.zip"
    publish(home, path, Publication())
    return read_archive(path)


@pytest.mark.parametrize(
    ("methods", "count", "expected"),
    [
        ((), 2, ["fast", "medium"]),
        ((), None, ["fast", "medium", "slow[a=1]"]),
        (["m*"], 3, ["medium"]),
        # A method selects its variants, too.
        (["slow"], 3, ["slow[a=1]"]),
    ],
)
def test_the_fastest_results_are_recomputed(archive, methods, count, expected):
    records = chosen_records(archive, methods=methods, tasks=(), targets=(), count=count)
    assert [record.head["label"] for record in records] == expected


def test_results_with_a_target_are_chosen(archive):
    chosen = chosen_records(archive, methods=(), tasks=(), targets=["goal"], count=1)
    assert [record.head["label"] for record in chosen] == ["fast"]
    with pytest.raises(UserError, match="'other'"):
        chosen_records(archive, methods=(), tasks=(), targets=["other"], count=1)


def test_an_unknown_method_is_refused(archive):
    with pytest.raises(UserError, match="'slwo'"):
        chosen_records(archive, methods=["slwo"], tasks=(), targets=(), count=1)


@pytest.mark.parametrize(
    ("check", "confirmed"),
    [
        (Confirmation(title="a", largest=1e-3), True),
        (Confirmation(title="a", largest=1.1e-3), False),
        (Confirmation(title="a", largest=math.inf), False),
        (Confirmation(title="a", reason="failed"), False),
    ],
)
def test_a_result_is_confirmed_within_the_tolerance(check, confirmed):
    assert check.confirms(1e-3) is confirmed
