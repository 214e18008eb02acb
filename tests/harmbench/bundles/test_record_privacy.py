"""Texts of records without paths and names of subjects."""

from __future__ import annotations

import pytest

from harmbench.bundles.pseudonyms import Pseudonyms
from harmbench.bundles.record_privacy import PrivateRecords

PSEUDONYMS = Pseudonyms(("IXI132", "7"), b"secret")
ALIAS = PSEUDONYMS.subject("IXI132")


@pytest.mark.parametrize(
    ("text", "published"),
    [
        ("run --cohort bids:/home/alice/study -m unet", "run --cohort bids:study -m unet"),
        ("run --recipe ~/own/study.toml", "run --recipe study.toml"),
        (r"cannot read C:\Users\alice\T1w.nii", "cannot read T1w.nii"),
        ("scan IXI132 is empty (IXI1320 is not)", f"scan {ALIAS} is empty (IXI1320 is not)"),
        ("sub-IXI132_T1w.nii", f"sub-{ALIAS}_T1w.nii"),
        ("/data/7/T1w_7.nii has 7 slices", f"T1w_{PSEUDONYMS.subject('7')}.nii has 7 slices"),
        ("sub-7 has 7 slices", f"sub-{PSEUDONYMS.subject('7')} has 7 slices"),
        ("12.5 mm/s, 3 / 4 scans", "12.5 mm/s, 3 / 4 scans"),
        ("see https://example.org/page", "see https://example.org/page"),
    ],
)
def test_paths_and_names_are_replaced(text, published):
    assert PrivateRecords(PSEUDONYMS).text(text) == published


def test_without_pseudonyms_only_paths_are_replaced():
    assert PrivateRecords(None).text("/data/IXI132 sub-7") == "IXI132 sub-7"
