"""Splits as published: near the sizes, by subject, with pairs to test on."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from harmbench.cohorts.bids.published_split import split_as_published
from harmbench.cohorts.bids.recipe import Sizes, Split

SLICES = 50


def sizes(target: int, source: int, validation: int = 0) -> Split:
    published = {
        "t": Sizes(test=target * SLICES, validation=validation * SLICES),
        "s": Sizes(test=source * SLICES),
    }
    return Split(validation=0.3, test=0.3, published=published)


def test_a_large_study_has_the_published_sizes() -> None:
    target = [f"t{i // 2}" for i in range(1600)]  # two sessions each
    source = [f"t{i}" for i in range(200)] + [f"s{i}" for i in range(200)]
    paired = {"s": source[:200]}
    result = split_as_published({"t": target, "s": source}, paired, sizes(50, 20, 15), SLICES)
    count = {
        domain: Counter(result[subject] for subject in subjects)
        for domain, subjects in (("t", target), ("s", source))
    }
    assert Counter(result[subject] for subject in paired["s"])["test"] == 20
    assert count["t"]["test"] == 50
    assert abs(count["t"]["validation"] - 15) <= 1
    assert count["s"]["validation"] == 0


def test_test_subjects_have_pairs_with_many_domains() -> None:
    target = [f"p{i}" for i in range(40)]
    sources = {"s": target[:20], "u": target[10:30]}
    sizes = {name: Sizes(test=2 * SLICES) for name in ("t", "s", "u")}
    split = Split(validation=0, test=0.3, published=sizes)
    result = split_as_published({"t": target, **sources}, sources, split, SLICES)
    tested = {subject for subject, side in result.items() if side == "test"}
    assert len(tested) == 2
    assert tested < set(target[10:20])


@given(st.integers(2, 25), st.integers(2, 25), st.integers(0, 25), st.integers(0, 40))
def test_everybody_has_one_side_and_every_domain_somebody_to_train_on(n, m, common, wanted) -> None:
    target = [f"t{i}" for i in range(n)]
    source = target[:common][:m] + [f"s{i}" for i in range(m)]
    paired = {"s": source[: min(common, m, n)]}
    scans = {"t": target, "s": source}
    result = split_as_published(scans, paired, sizes(wanted, wanted, 3), SLICES)
    assert set(result) == {*target, *source}
    for subjects in scans.values():
        sides = {result[subject] for subject in subjects}
        assert "train" in sides
    assert "test" in {result[subject] for subject in source}
    shuffled = {"t": target[::-1], "s": source[::-1]}
    assert result == split_as_published(shuffled, paired, sizes(wanted, wanted, 3), SLICES)
