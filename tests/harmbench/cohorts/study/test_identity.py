"""Subjects with several labels, by name or by identical files."""

from __future__ import annotations

from pathlib import Path

import pytest

from harmbench.cohorts.bids.scan import Scan
from harmbench.cohorts.study.identity import identify
from harmbench.cohorts.study.scans import StudyScans
from harmbench.errors import UserError


def scan(label: str, session: str = "1", subject: str | None = None) -> Scan:
    path = Path(f"{label}-{session}.nii")
    return Scan(path=path, subject=subject or label, session=session, label=label)


def identified(here: list[Scan], there: list[Scan], fewest_subjects: int = 2, **digests: str):
    scans = StudyScans(domains={"here": tuple(here), "there": tuple(there)}, notes=["first"])
    paths = [scan.path for scan in scans.files]
    files = {path: digests.get(path.stem.replace("-", "_")) for path in paths}
    return identify(scans, files, fewest_subjects=fewest_subjects)


def test_without_shared_files_nothing_changes():
    here, there = [scan("a"), scan("b")], [scan("a"), scan("c")]
    result = identified(here, there, b_1="x", c_1="y")
    assert result.scans.domains == {"here": tuple(here), "there": tuple(there)}
    assert list(result.scans.notes) == ["first"]
    assert result.subject_of == {}


def test_labels_that_share_a_file_are_one_subject():
    here, there = [scan("a"), scan("b")], [scan("c"), scan("d"), scan("e")]
    result = identified(here, there, b_1="x", d_1="x", c_1="y")
    named = [(scan.subject, scan.session, scan.label) for scan in result.scans]
    assert named == [
        ("a", "1", "a"),
        ("b", "b-1", "b"),
        ("c", "1", "c"),
        ("b", "d-1", "d"),
        ("e", "1", "e"),
    ]
    assert result.subject_of == {"b": "b", "d": "b"}
    assert "the labels b, d have one and the same image file" in result.scans.notes[-1]


def test_chains_of_shared_files_are_one_subject():
    here, there = [scan("b"), scan("c"), scan("c", "2"), scan("d")], [scan("a"), scan("e")]
    result = identified(here, there, b_1="x", c_1="x", c_2="y", a_1="y", d_1="z")
    assert {scan.label: scan.subject for scan in result.scans} == {
        "a": "a",
        "b": "a",
        "c": "a",
        "d": "d",
        "e": "e",
    }


def test_named_subjects_have_sessions_by_label():
    here = [scan("a1", subject="anna"), scan("b")]
    there = [scan("a2", subject="anna"), scan("c")]
    result = identified(here, there)
    assert [(scan.subject, scan.session) for scan in result.scans] == [
        ("anna", "a1-1"),
        ("b", "1"),
        ("anna", "a2-1"),
        ("c", "1"),
    ]
    assert "subjects with several labels: anna (a1, a2)" in result.scans.notes


@pytest.mark.parametrize(
    ("there", "digests", "note"),
    [
        ("c", {"a_1": "x", "a_2": "x"}, "a has one and the same image file in several sessions"),
        ("a", {"a_1": "x", "a_3": "x"}, "a has one and the same image file in two domains, which"),
    ],
)
def test_copies_of_one_subject_are_reported(there, digests, note):
    here = [scan("a"), scan("a", "2"), scan("b")]
    result = identified(here, [scan(there, "3"), scan("d")], **digests)
    assert note in result.scans.notes[-1]


def test_a_domain_that_is_left_with_one_subject_is_an_error():
    with pytest.raises(UserError, match="'here' has only one subject, 'a', .* labels a, b have"):
        identified([scan("a"), scan("b")], [scan("c"), scan("d")], a_1="x", b_1="x")


def test_one_subject_is_an_error_without_a_note_or_enough_where_all_are_tested():
    here, there = [scan("a")], [scan("a", "2")]
    with pytest.raises(UserError, match="has only one subject, 'a', .* needs two$"):
        identified(here, there)
    result = identified(here, there, fewest_subjects=1)
    assert result.scans.domains == {"here": tuple(here), "there": tuple(there)}
