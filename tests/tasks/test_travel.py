from __future__ import annotations

import pytest

from harmbench import SkipCell, estimates
from harmbench.metrics.image import PSNR
from harmbench_tasks.travel import SOURCE_REPEAT, TARGET_REPEAT, Travel, repeated


def travelling(scan):
    """Register every scan of a subject to the first session on the target scanner."""
    if scan["domain"] == "north":
        return scan
    reference = scan["domain"] == "target" and scan["session"] == "1"
    return {**scan, "partner": "" if reference else "1", "paired": True}


@pytest.fixture
def travellers(own_cohort, change_table):
    return change_table(own_cohort(), travelling, travelling=True)


def test_the_truth_is_the_first_visit_to_the_target_scanner(travellers) -> None:
    data = Travel("domain1").setup(travellers, 0)
    assert data.test.subjects == data.references.subjects
    assert {scan.session for scan in data.references.scans} == {"1"}
    assert data.references.domain == "target"


def test_repeats_are_visits_to_one_scanner(travellers) -> None:
    first, second = repeated(travellers, "target")
    assert first.subjects == second.subjects == ("p0",)
    assert [scan.session for scan in (*first.scans, *second.scans)] == ["1", "2"]
    assert repeated(travellers, "domain1") is None


def test_the_repeatability_of_the_target_is_a_reference_value(travellers, context) -> None:
    task = Travel("domain1")
    data = task.setup(travellers, 0)
    assert TARGET_REPEAT in data.extra
    assert SOURCE_REPEAT not in data.extra
    bounds = task.bounds(context(data))
    estimate = estimates(bounds[TARGET_REPEAT])["psnr"]
    assert estimate.n == 1
    first, second = repeated(travellers, "target")
    expected = PSNR().measure(second.load([0]), first.load([0]), first)
    assert estimate.mean == pytest.approx(float(expected))


def test_other_cohorts_are_skipped_with_the_reason(small_cohort) -> None:
    with pytest.raises(SkipCell, match="not registered to the first"):
        Travel("domain1").setup(small_cohort, 0)


def test_a_source_that_shares_no_subject_is_skipped(travellers) -> None:
    with pytest.raises(SkipCell, match="no test subject was scanned on both 'north'"):
        Travel("north").setup(travellers, 0)


def test_without_paired_scans_on_a_scanner_there_is_no_repeat(own_cohort, change_table) -> None:
    def unpaired(scan):
        return {**travelling(scan), "paired": scan["domain"] != "domain1"}

    assert repeated(change_table(own_cohort(), unpaired, travelling=True), "domain1") is None
