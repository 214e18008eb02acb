"""Second scans on the target scanner: which subjects have them, and which tasks use them."""

from __future__ import annotations

import pytest

from harmbench_tasks.domains import Domain
from harmbench_tasks.repeats import matched, repeats_of, scanned_twice
from harmbench_tasks.retest import Retest
from harmbench_tasks.segmentation import WhiteMatter
from harmbench_tasks.simulated import Exp


def without_p1(scan):
    """Remove the test subject that was scanned once on the target scanner."""
    return None if scan["subject"] == "p1" else scan


def test_one_scan_of_each_subject_on_either_scanner(small_cohort) -> None:
    target, source = (small_cohort.scans(domain, "test") for domain in ("target", "domain1"))
    here, there = matched(source, target)
    assert here.subjects == there.subjects == ("p1", "p0")
    assert [scan.session for scan in there.scans] == ["1", "1"]


def test_subjects_with_two_scans_on_the_target_scanner(small_cohort) -> None:
    first, second = scanned_twice(small_cohort)
    assert first.subjects == second.subjects == ("p0",)
    assert [scans.scans[0].session for scans in (first, second)] == ["1", "2"]


def test_a_cohort_names_its_domain_of_repeats(own_cohort, change_table) -> None:
    cohort = change_table(own_cohort(), lambda scan: scan, repeat="domain1")
    first, second = scanned_twice(cohort)
    assert (first.domain, second.domain) == ("target", "domain1")
    assert first.subjects == second.subjects == ("p0", "p1")


@pytest.mark.parametrize("task", [Domain, WhiteMatter, Retest])
def test_repeats_are_other_sessions_of_the_test_subjects(task, own_cohort, change_table) -> None:
    cohort = change_table(own_cohort(), without_p1)
    data = task("domain1").setup(cohort, 0)
    # Retest measures volumes, so that the target's scan is no truth of the harmonised one.
    target = data.references or data.extra["target"]
    assert data.repeats.subjects == data.test.subjects == target.subjects
    assert {scan.session for scan in target.scans} == {"1"}
    assert {scan.session for scan in data.repeats.scans} == {"2"}


def test_a_repeat_of_every_reference_is_needed(small_cohort) -> None:
    data = Domain("domain1").setup(small_cohort, 0)
    assert data.repeats is None
    expected = "only 1 of 2 test scans have a repeat on 'target' in the same space"
    assert data.no_repeats == expected


def test_repeats_from_a_domain_of_their_own(own_cohort, change_table) -> None:
    # Scans of the other source stand in for the second scans.
    cohort = change_table(own_cohort(), lambda scan: scan, repeat="domain1")
    references = cohort.scans("target", "test").subset([2, 0])
    repeats, reason = repeats_of(cohort, references)
    assert (repeats.domain, repeats.subjects, reason) == ("domain1", ("p1", "p0"), "")


def test_sessions_in_different_spaces_are_no_repeats(own_cohort, change_table) -> None:
    def partnered(scan):
        scan = without_p1(scan)
        return scan and {**scan, "partner": "1" if scan["domain"] == "domain1" else ""}

    data = Domain("domain1").setup(change_table(own_cohort(), partnered), 0)
    assert data.repeats is None
    assert data.no_repeats == "scans of one subject on 'target' are not in one space"


def test_a_simulated_shift_and_an_unpaired_source_have_no_repeats(small_cohort) -> None:
    assert Exp().setup(small_cohort, 0).repeats is None
    assert Domain("north").setup(small_cohort, 0).repeats is None
