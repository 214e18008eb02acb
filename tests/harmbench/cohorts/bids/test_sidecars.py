"""Sidecars by BIDS' inheritance principle."""

from __future__ import annotations

import json

import pytest

from harmbench.cohorts.bids.sidecars import Sidecars
from harmbench.errors import BadScanError

SCAN = "sub-a/ses-1/anat/sub-a_ses-1_acq-fast_run-1_T1w.nii.gz"


@pytest.fixture
def sidecar_of(tmp_path):
    """Write sidecars, and return what they say of the scan."""

    def read(**files):
        for path, content in files.items():
            file = tmp_path / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(
                content if isinstance(content, bytes) else json.dumps(content).encode()
            )
        return Sidecars(tmp_path).of(tmp_path / SCAN)

    return read


def test_the_nearest_wins_field_by_field(sidecar_of):
    sidecar = sidecar_of(
        **{
            "T1w.json": {"a": 0, "b": 0, "c": 0, "d": 0},
            "sub-a/sub-a_T1w.json": {"b": 1, "c": 1, "d": 1},
            "sub-a/ses-1/sub-a_ses-1_T1w.json": {"c": 2, "d": 2},
            SCAN.replace(".nii.gz", ".json"): {"d": 3},
        }
    )
    assert sidecar.content == {"a": 0, "b": 1, "c": 2, "d": 3}
    assert [path.name for path in sidecar.inherited] == [
        "T1w.json",
        "sub-a_T1w.json",
        "sub-a_ses-1_T1w.json",
    ]
    assert not sidecar.notes


@pytest.mark.parametrize(
    "name",
    [
        "T2w.json",
        "acq-slow_T1w.json",
        "run-2_T1w.json",
        "part-mag_T1w.json",
        "sub-b_T1w.json",
        "sub-a/ses-1/anat/sub-a_ses-1_T1w_notes.json",
        "sub-a/ses-2/sub-a_T1w.json",
    ],
)
def test_a_file_of_another_scan_does_not_apply(sidecar_of, name):
    assert sidecar_of(**{name: {"a": 1}}).content is None


def test_two_in_one_folder_are_reported(sidecar_of):
    sidecar = sidecar_of(**{"T1w.json": {"a": 1, "b": 2}, "acq-fast_T1w.json": {"a": 1, "c": 3}})
    assert sidecar.content == {"a": 1, "b": 2, "c": 3}
    assert sidecar.notes == (
        "the sidecars T1w.json and acq-fast_T1w.json of one folder both apply to it; BIDS allows "
        "one",
    )


def test_two_in_one_folder_that_contradict_are_an_error(sidecar_of):
    with pytest.raises(BadScanError, match=r"acq-fast_T1w\.json .* contradict each other in a;"):
        sidecar_of(**{"T1w.json": {"a": 1}, "acq-fast_T1w.json": {"a": 2}})


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1"])
def test_any_common_encoding_is_read(sidecar_of, encoding):
    text = json.dumps({"a": "Köln"}, ensure_ascii=False)
    assert sidecar_of(**{"T1w.json": text.encode(encoding)}).content == {"a": "Köln"}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"/annex/objects/MD5E-s300--0.json\n", "is a git-annex pointer, .*`datalad get "),
        (b"{", "cannot be read: Expecting"),
        (b"[1]", "holds no JSON object"),
    ],
)
def test_what_cannot_be_read_has_its_reason(sidecar_of, content, reason):
    with pytest.raises(BadScanError, match=rf"its sidecar T1w\.json {reason}"):
        sidecar_of(**{"T1w.json": content})
