"""Cohorts: the split by person."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from harmbench.data.cohort import split_people


@given(
    st.integers(2, 30),
    st.floats(0, 0.5),
    st.floats(0.01, 0.99),
    st.integers(0, 30),
)
def test_everybody_has_one_split_and_the_target_keeps_people_for_each_end(n, validation, test, m):
    target = [f"t{i}" for i in range(n)]
    source = target[: m // 2] + [f"s{i}" for i in range(m + 2)]
    splits = split_people({"a": target, "b": source}, validation=validation, test=test)
    assert set(splits) == {*target, *source}
    assert {splits[person] for person in target} >= {"train", "test"}
    alone = split_people({"a": target}, validation=validation, test=test)
    assert {person: splits[person] for person in target} == alone


def test_the_split_does_not_depend_on_order():
    people = [f"p{i}" for i in range(9)]
    first = split_people({"a": people}, validation=0.2, test=0.3)
    assert first == split_people({"a": people[::-1]}, validation=0.2, test=0.3)
    assert sorted(first.values()).count("test") == 3
