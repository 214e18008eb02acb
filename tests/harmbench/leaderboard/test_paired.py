"""Two runs compared on the subjects that both have."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import scipy.stats

from harmbench.errors import UserError
from harmbench.leaderboard.measure import Measure
from harmbench.leaderboard.paired import compare, remarks, side
from harmbench.statistics.resampling import bootstrap_draws
from harmbench.statistics.subjects import encode_draws

MEASURES = {
    "psnr": Measure(name="psnr", higher_is_better=True, unit="dB"),
    "mae": Measure(name="mae", higher_is_better=False),
}


def run(run_id, label="one", **changes):
    """A row of the table of runs; subjects and values are given by name."""
    subjects = changes.pop("subjects", {f"p{i}": 20.0 + i for i in range(7)})
    row = {
        "run_id": run_id,
        "label": label,
        "task": "a",
        "cohort": "tiny",
        "cohort_key": "c0",
        "target": "",
        "fit_cohort": "",
        "fit_cohort_key": "",
        "kind": "real",
        "preset": "quick",
        "split": "test",
        "normalization": "minmax",
        "question": "d0",
        "seed": 0,
        "fold": 0,
        "headline": "psnr",
        "draws": {},
        "submission": {},
        "missing": {},
        "status": "done",
        "reason": "",
        "started": 1,
        "metric_versions": {"psnr": "1"},
        "subjects": "[" + ", ".join(f'"{name}"' for name in subjects) + "]",
        "psnr.subjects": ",".join(map(str, subjects.values())),
        "mae.subjects": "",
    }
    return row | changes


def difference(*rows, one="one@a", other="other@a"):
    runs = pd.DataFrame(rows)
    (result,) = compare(side(runs, one), side(runs, other), MEASURES)
    return result


def test_subjects_in_common_are_compared_and_the_others_named():
    gains = np.array([1.0, 2.0, -0.5, 3.0, 0.25, 1.5])
    mine = {f"p{i}": 20.0 + i for i in range(7)}
    theirs = {f"p{i}": 20.0 + i - gain for i, gain in enumerate(gains)} | {"q": 90.0}
    result = difference(run("aaaa1", subjects=mine), run("bbbb1", "other", subjects=theirs))
    assert (result.only_one, result.only_other) == (("p6",), ("q",))
    assert (result.one, result.other) == pytest.approx((22.5, 22.5 - gains.mean()))
    assert result.difference.mean == pytest.approx(gains.mean())
    assert result.difference.n == 6
    assert result.difference.low < gains.mean() < result.difference.high
    # All sign vectors whose mean is at least as extreme, counted with SciPy.
    exact = scipy.stats.permutation_test(
        (gains,), np.mean, permutation_type="samples", n_resamples=np.inf
    )
    assert result.p == pytest.approx(exact.pvalue)
    # Without p3, the mean of the others is 0.85 instead of 1.208.
    assert next(iter(result.influence)) == "p3"
    assert abs(result.influence["p3"]) == pytest.approx(gains.mean() - np.delete(gains, 3).mean())


def test_seeds_in_common_are_compared_with_each_other():
    def value(size):
        return {f"p{i}": size + i for i in range(3)}

    rows = [
        run("a0", subjects=value(20.0), data="d0"),
        run("a1", subjects=value(30.0), seed=1, data="d1"),
        run("b1", "other", subjects=value(29.0), seed=1, data="d1"),
        run("b2", "other", subjects=value(90.0), seed=2, data="d2"),
    ]
    assert difference(*rows).difference.mean == pytest.approx(1.0)


def test_without_a_seed_in_common_means_over_seeds_are_compared_if_the_data_are_the_same():
    rows = [run("a0"), run("b1", "other", seed=1), run("b2", "other", seed=2)]
    assert difference(*rows).difference.mean == 0
    rows[1]["question"] = "d1"
    with pytest.raises(UserError, match="one on a.*other on a.*no seed in common"):
        difference(*rows)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"task": "b", "question": "d1"}, "task is a .* b "),
        ({"preset": "paper", "question": "d1"}, "preset is quick .* paper "),
        ({"cohort_key": "c1", "question": "d1"}, "cohort's content is c0 .* c1 "),
        ({"question": "d1"}, "the task or the cohort has changed between them"),
    ],
)
def test_other_test_data_are_not_compared(changes, reason):
    with pytest.raises(UserError, match=reason):
        difference(run("aaaa1"), run("bbbb1", "other", **changes), one="aaaa", other="bbbb")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("aaaa", "'aaaa' begins 2 run ids"),
        ("aa", "no run 'aa': give at least 4 characters"),
        ("cccc", "no run 'cccc'"),
        ("onne@a", "no recorded method 'onne'; did you mean 'one'?"),
        ("one@b", "no recorded task 'b'"),
        ("failed@a", "seed 0 has no scores: failed: boom"),
    ],
)
def test_an_ambiguous_or_unknown_run_is_an_error(text, complaint):
    runs = pd.DataFrame(
        [run("aaaa1"), run("aaaa2"), run("d", "failed", status="failed", reason="boom")]
    )
    with pytest.raises(UserError) as caught:
        side(runs, text)
    assert complaint in str(caught.value)


def test_a_method_at_a_task_is_that_of_the_newest_board():
    runs = pd.DataFrame(
        [run("a1", started=5), run("a2", started=9, preset="paper"), run("a3", started=7)]
    )
    assert side(runs, "one@a").runs["run_id"].tolist() == ["a2"]
    assert side(runs[:1], "one@a").title == "one on a of tiny"


def test_only_headline_metrics_are_corrected_and_the_remarks_say_so():
    gains = np.array([1.0, 2.0, 0.5, 3.0, 0.25, 1.5, 0.75])

    def psnr_and_mae(run_id, label, shift):
        values = {f"p{i}": 20.0 + i + shift * gain for i, gain in enumerate(gains)}
        texts = ",".join(str(value) for value in values.values())
        versions = {"psnr": "1", "mae": "1"}
        columns = {"mae.subjects": texts, "metric_versions": versions}
        return run(run_id, label, subjects=values, **columns)

    runs = pd.DataFrame([psnr_and_mae("aaaa1", "one", 1), psnr_and_mae("bbbb1", "other", 0)])
    sides = side(runs, "one@a"), side(runs, "other@a")
    smallest = 2 / 2**7
    psnr, mae = compare(*sides, MEASURES)
    # A metric that is no headline changes nothing.
    assert (psnr.p, mae.p) == pytest.approx((smallest, smallest))
    assert psnr.significant
    assert not mae.significant
    assert (psnr.favours_one, mae.favours_one) == (True, False)
    lines = "\n".join(remarks([psnr, mae]))
    assert "Holm-adjusted over the headline metrics of the task (shown here: psnr)" in lines
    assert "not adjusted, for description only; nothing follows from it: mae" in lines
    runs["headline"] = "psnr,mae"
    both = compare(*(side(runs, f"{name}@a") for name in ("one", "other")), MEASURES)
    assert [entry.p for entry in both] == pytest.approx([2 * smallest] * 2)
    # The correction does not depend on what is shown.
    (shown,) = compare(*(side(runs, f"{n}@a") for n in ("one", "other")), MEASURES, ["mae"])
    assert shown.p == pytest.approx(2 * smallest)


def test_folds_of_both_sides_are_compared_fold_by_fold():
    def fold(run_id, label, number, values):
        return run(run_id, label, subjects=values, fold=number, question=f"d{number}")

    rows = [
        fold("a1", "one", 1, {"p": 3.0, "q": 4.0}),
        fold("a2", "one", 2, {"r": 7.0}),
        fold("b1", "other", 1, {"p": 1.0, "q": 1.0}),
        fold("b2", "other", 2, {"r": 3.0}),
    ]
    result = difference(*rows)
    assert (result.difference.n, result.difference.mean) == (3, 3.0)
    # Fold 2 is missing on one side.
    assert difference(*rows[:3]).difference.n == 2


def test_metrics_of_a_whole_cohort_are_compared_by_a_paired_bootstrap():
    random = np.random.default_rng(0)
    subjects = {f"p{i}": 0.0 for i in range(20)}
    pairs = random.normal(size=(20, 1)) + 0.1 * random.normal(size=(20, 2))
    worse = pairs + np.array([[0.0, 1.0]]) * random.normal(size=(20, 1))

    def correlation(volumes):
        first, second = np.moveaxis(volumes - volumes.mean(axis=-2, keepdims=True), -1, 0)
        products = (first * second).sum(-1)
        return products / np.sqrt((first**2).sum(-1) * (second**2).sum(-1))

    def cohort_run(run_id, label, values, n=20):
        draws = bootstrap_draws(values[:n], correlation, resamples=1000)
        names = dict(list(subjects.items())[:n])
        return run(
            run_id,
            label,
            subjects=names,
            psnr=float(correlation(values)),
            headline="psnr",
            draws={"psnr": encode_draws(draws)},
        ) | {"psnr.subjects": ""}

    good, bad = cohort_run("aaaa1", "one", pairs), cohort_run("bbbb1", "other", worse)
    result = difference(good, bad)
    assert result.difference.mean == pytest.approx(good["psnr"] - bad["psnr"])
    assert 0 < result.difference.low < result.difference.mean < result.difference.high
    assert result.p < 0.02
    assert result.difference.n == 20
    same = difference(good, {**good, "label": "other", "run_id": "bbbb1"})
    assert (same.difference.low, same.difference.high, same.p) == (0, 0, 1)
    # Draws of other subjects are not paired.
    with pytest.raises(UserError, match="share no metric"):
        difference(good, cohort_run("bbbb1", "other", worse, n=19))
