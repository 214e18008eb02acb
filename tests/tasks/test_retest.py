"""Test and retest: the ICC against published numbers, and the choice of scans."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harmbench.errors import SkipCell
from harmbench_tasks.retest import Retest, agreement, icc, squared_variation, variation

# Table 2 of Shrout and Fleiss 1979: six targets rated by four judges.
RATINGS = np.array(
    [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]], float
)


def test_icc_of_the_published_example() -> None:
    assert float(icc(RATINGS)) == pytest.approx(0.29, abs=0.005)  # their table 4, ICC(2, 1)


@given(st.integers(0, 2**32), st.floats(0.1, 100), st.floats(-1000, 1000))
def test_icc_is_independent_of_units(seed, scale, offset) -> None:
    volumes = np.random.default_rng(seed).normal(500, 50, (6, 2))
    assert float(icc(scale * volumes + offset)) == pytest.approx(float(icc(volumes)), abs=1e-6)


def test_icc_measures_agreement_and_not_correlation() -> None:
    first = np.array([400.0, 450, 500, 550, 600])
    same, moved = (np.stack([first, first + by], axis=1) for by in (0, 100))
    assert float(icc(same)) == 1
    assert float(icc(moved)) < 0.7
    many = np.stack([same, moved])
    assert icc(many).tolist() == [float(icc(same)), float(icc(moved))]


def test_variation_is_the_root_mean_square_over_subjects() -> None:
    # By hand: the sample variances are 200, 0 and 2; the means 100, 5 and 10.
    volumes = np.array([[90.0, 110.0], [5, 5], [9, 11]])
    assert squared_variation(volumes).tolist() == pytest.approx([200, 0, 200])
    assert float(variation(volumes)) == pytest.approx((400 / 3) ** 0.5)
    assert variation(np.stack([volumes, 3 * volumes])).tolist() == pytest.approx(
        [(400 / 3) ** 0.5] * 2
    )
    result = agreement(volumes)
    assert result["wm_volume_cv"].mean == pytest.approx(result["wm_volume_cv_squared"].mean ** 0.5)
    assert result["wm_volume_cv"].low <= result["wm_volume_cv"].mean <= result["wm_volume_cv"].high


def test_few_subjects_have_no_icc() -> None:
    volumes = np.array([[500.0, 510.0], [450.0, 440.0], [600.0, 590.0]])
    assert set(agreement(volumes[:2])) == {"wm_volume_cv", "wm_volume_cv_squared"}
    result = agreement(volumes)
    assert result["wm_volume_icc"].mean == float(icc(volumes))
    assert result["wm_volume_icc"].n == result["wm_volume_cv"].n == 3
    assert result["wm_volume_icc"].low <= result["wm_volume_icc"].mean


def test_volumes_are_those_of_the_segmented_voxels(small_cohort, context) -> None:
    task = Retest("domain1")
    assert task.name == "retest-domain1"
    data = task.setup(small_cohort, 0)
    assert data.parameters["repeated subjects"] == 1
    scoring = context(data)
    scorer = task.scorer(scoring)
    for position in range(len(data.test)):
        truth = data.extra["target"].load([position])
        scorer.add(data.test.load([position]), truth, truth)
    table = scorer.table()
    values = table.pivot(index="subject", columns="metric", values="value")
    voxels = int((data.extra["target"].load([0]).images > 0.72).sum())
    assert values.loc["p1", "wm_volume"] == pytest.approx(voxels * 8 * 5 * 4 / 1000)
    assert (values["wm_volume"] == values["wm_volume_target"]).all()
    assert (values["wm_volume_cv_squared"] == 0).all()
    assert data.references is None  # the comparator is no truth
    assert scorer.estimates(table)["wm_volume_cv"].mean == 0
    assert (scorer.draws(table)["wm_volume_cv"] == 0).all()
    bounds = task.bounds(scoring)
    assert list(bounds) == ["source as it is", "repeat on the target's scanner"]
    assert bounds["source as it is"]["wm_volume_cv"].mean > 10
    assert bounds["repeat on the target's scanner"]["wm_volume_cv"].n == 1


def test_neither_one_space_nor_source_labels_are_needed(own_cohort, change_table) -> None:
    def bare(scan):
        on_source = scan["domain"] == "domain1"
        return {**scan, "paired": False, "labelled": scan["labelled"] and not on_source}

    data = Retest("domain1").setup(change_table(own_cohort(), bare), 0)
    assert data.references is None
    assert data.test.subjects == data.extra["target"].subjects == ("p1", "p0")


def test_no_subject_on_both_scanners_is_skipped(small_cohort) -> None:
    with pytest.raises(SkipCell, match="no test subject was scanned on both 'north' and 'target'"):
        Retest("north").setup(small_cohort, 0)
