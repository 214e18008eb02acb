"""Which of several T1w files of a session is preferred."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from harmbench.cohorts.bids.preference import by_preference, no_t1w_image, why_preferred
from harmbench.cohorts.bids.scan import Scan, entities_of


def scan(middle: str, sidecar: bool = True) -> Scan:
    path = Path(f"sub-a_{middle}T1w.nii.gz")
    return Scan(
        path=path,
        subject="a",
        session="1",
        label="a",
        entities=entities_of(path),
        sidecar={} if sidecar else None,
    )


ORDER = [
    ("", True),
    ("run-1_", True),
    ("run-2_", True),
    ("run-10_", True),
    ("acq-fast_", True),
    ("acq-highres_", True),
    ("rec-dis2d_", True),
    ("rec-dis2d_run-1_", True),
    ("acq-fast_rec-dis2d_", True),
    ("rec-norm_", True),
    ("echo-1_", True),
    ("part-mag_", True),
    ("inv-2_", True),
    ("ce-gd_", True),
    ("space-orig_", True),
    ("desc-preproc_", True),
    ("", False),
    ("run-1_", False),
]


def test_the_order_is_by_sidecar_entities_and_numbers():
    scans = [scan(*item) for item in ORDER]
    assert by_preference(scans[::-1]) == scans


@pytest.mark.parametrize(
    ("first", "other"), list(pairwise(ORDER)), ids=lambda item: f"{item[0]}{item[1]}"
)
def test_the_reason_is_what_differs_first(first, other):
    word = why_preferred(scan(*first), scan(*other))
    if first[1] != other[1]:
        assert word == "no sidecar"
    else:
        assert word.removeprefix("no ") in f"{other[0]}{first[0]}"


@pytest.mark.parametrize("middle", ["inv-1_", "inv-01_", "part-phase_", "part-imag_", "part-real_"])
def test_phases_and_first_inversions_are_no_t1w_images(middle):
    assert middle.rstrip("_") in no_t1w_image(scan(middle))


@pytest.mark.parametrize("middle", ["", "inv-2_", "part-mag_", "run-1_", "acq-inv1_"])
def test_magnitudes_are_t1w_images(middle):
    assert no_t1w_image(scan(middle)) is None
