"""White-matter segmentation: whom it asks about, what it is held against, and what it refuses."""

from __future__ import annotations

import pytest
import torch

from harmbench.errors import SkipCell
from harmbench.statistics.estimate import estimates
from harmbench_tasks.segmentation import WhiteMatter
from harmbench_tasks.segmenter import Segmenter


def test_labelled_pairs_are_tested_and_fit_data_do_not_change(small_cohort) -> None:
    from harmbench_tasks.domains import Domain

    task = WhiteMatter("domain1")
    assert task.name == "wmseg-domain1"
    assert task.instruments == {"segmenter": Segmenter}
    data, plain = task.setup(small_cohort, 0), Domain("domain1").setup(small_cohort, 0)
    assert data.test.subjects == data.references.subjects == ("p1", "p0")
    assert data.test.labelled
    assert data.labelled[0].subjects == ("p3", "p4", "p5", "p6")
    assert data.fit_data(0).of_target().target.labelled
    assert data.fit_data(0).digest == plain.fit_data(0).digest
    assert data.extra == {}


def scored(task, context, scans=None):
    data = context.data
    scorer = task.scorer(context)
    for index in range(len(data.test)):
        source = data.test.load([index])
        truth = None if data.references is None else data.references.load([index])
        scorer.add(source, truth if scans == "truth" else source, truth)
    return scorer, scorer.table()


def test_source_and_truth_score_as_the_two_bounds(small_cohort, context) -> None:
    task = WhiteMatter("domain1")
    given = context(task.setup(small_cohort, 0))
    bounds = task.bounds(given)
    assert list(bounds) == ["source as it is", "target scans of the same subjects"]
    for scans, title in ((None, "source as it is"), ("truth", "target scans of the same subjects")):
        scorer, table = scored(task, given, scans)
        assert scorer.estimates(table) == estimates(bounds[title])
        assert set(table["metric"]) == {"dice", "hd95"}
        assert (table["slice"] == -1).all()
        assert len(table) == 2 * 2
    assert estimates(bounds["target scans of the same subjects"])["dice"].mean > 0.9
    assert estimates(bounds["source as it is"])["dice"].mean < 0.8


def test_figures_show_the_segmentation(small_cohort, context) -> None:
    task = WhiteMatter("domain1")
    given = context(task.setup(small_cohort, 0))
    scorer, _ = scored(task, given)
    shown = scorer.annotated(given.data.references.load([0]))
    assert torch.equal(shown.predicted == 3, shown.images > 0.72)


def unpaired(scan):
    return {**scan, "paired": False}


def test_without_pairs_the_bound_is_of_subjects_held_out(own_cohort, context, change_table) -> None:
    cohort = change_table(own_cohort(), unpaired)
    task = WhiteMatter("domain1")
    data = task.setup(cohort, 0)
    assert data.references is None
    assert data.extra["held out"].subjects == ("p0", "p0", "p1")
    bounds = task.bounds(context(data))
    assert list(bounds) == ["source as it is", "target scans of other subjects"]
    assert estimates(bounds["target scans of other subjects"])["dice"].n == 2
    assert task.setup(cohort, 0).extra["held out"].digest == data.extra["held out"].digest


def test_only_scans_with_labels_are_used(own_cohort, change_table) -> None:
    def few(scan):
        labelled = {("domain1", "p1"), ("target", "p1"), ("target", "p4"), ("target", "p2")}
        return {**scan, "labelled": (scan["domain"], scan["subject"]) in labelled}

    data = WhiteMatter("domain1").setup(change_table(own_cohort(), few), 0)
    assert data.test.subjects == ("p1",)
    chosen = {*data.source.subjects, *data.target.subjects}
    assert chosen == {"p3", "p4", "p5", "p6", "p7", "p8"}
    assert [scans.subjects for scans in data.labelled] == [("p4",), ("p2",)]
    fitted = data.fit_data(0).of_target()
    assert fitted.target.subjects == ("p4",)
    assert fitted.target.load([0]).labels is not None


def test_a_source_without_labels_is_skipped_with_its_reason(small_cohort) -> None:
    with pytest.raises(SkipCell, match="source 'north' has no test scans that have labels"):
        WhiteMatter("north").setup(small_cohort, 0)


def test_a_target_without_labels_is_skipped_with_its_reason(own_cohort, change_table) -> None:
    def bare(scan):
        return {**scan, "labelled": scan["labelled"] and scan["domain"] != "target"}

    with pytest.raises(SkipCell, match="no training scan of the target 'target' has labels"):
        WhiteMatter("domain1").setup(change_table(own_cohort(), bare), 0)


@pytest.mark.parametrize("domain", ["domain1", "target"])
def test_unusable_labels_are_skipped_with_the_reason(own_cohort, change_table, domain) -> None:
    reason = "sub-p_dseg.nii.gz has shape (1, 2, 3), the scan (4, 5, 6)"

    def misfit(scan):
        if scan["domain"] != domain:
            return scan
        return {**scan, "labelled": False, "details": {"labels": reason}}

    with pytest.raises(SkipCell, match=r"labels.* \(of the first: sub-p_dseg.* has shape"):
        WhiteMatter("domain1").setup(change_table(own_cohort(), misfit), 0)


def test_scans_with_empty_labels_are_left_out_and_named(own_cohort, change_labels) -> None:
    cohort = own_cohort()
    change_labels(cohort, "domain1", [1], 3, 2)  # p0
    data = WhiteMatter("domain1").setup(cohort, 0)
    assert data.test.subjects == data.references.subjects == ("p1",)
    assert data.parameters["no white matter"] == ["p0/a"]
    change_labels(cohort, "domain1", [0], 3, 2)
    with pytest.raises(SkipCell, match="labels of source 'domain1' have no white matter"):
        WhiteMatter("domain1").setup(cohort, 0)
