"""Letters, for random outcomes of the tests."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from harmbench.statistics.letters import compact_letters


@st.composite
def outcomes(draw, largest=8):
    """Random symmetric outcomes of all pairs, and a random order of the methods."""
    k = draw(st.integers(1, largest))
    significant = np.zeros((k, k), dtype=bool)
    for i, j in itertools.combinations(range(k), 2):
        significant[i, j] = significant[j, i] = draw(st.booleans())
    return significant, draw(st.permutations(range(k)))


def members(letters):
    """The methods of every letter."""
    return {
        letter: {method for method, text in enumerate(letters) if letter in text}
        for letter in set("".join(letters))
    }


@given(outcomes())
def test_methods_share_a_letter_exactly_if_they_do_not_differ(outcome):
    significant, order = outcome
    letters = compact_letters(significant, order)
    for i, j in itertools.combinations(range(len(order)), 2):
        assert bool(set(letters[i]) & set(letters[j])) != significant[i, j]
    assert all(letters)


@given(outcomes())
def test_no_letter_can_be_left_out_or_given_to_more_methods(outcome):
    significant, order = outcome
    groups = members(compact_letters(significant, order))
    for letter, group in groups.items():
        others = [other for name, other in groups.items() if name != letter]
        assert not any(group <= other for other in others)
        pairs = [{i, j} for i in group for j in group]
        assert not all(any(pair <= other for other in others) for pair in pairs)
        outside = set(range(len(order))) - group
        assert all(significant[method, list(group)].any() for method in outside)


@given(outcomes())
def test_letters_are_ascending_and_start_with_the_best(outcome):
    significant, order = outcome
    letters = compact_letters(significant, order)
    assert "a" in letters[order[0]]
    assert all(list(text) == sorted(text) for text in letters)
    first_uses = [
        min(order.index(method) for method, text in enumerate(letters) if c in text)
        for c in sorted(set("".join(letters)))
    ]
    assert first_uses == sorted(first_uses)


def test_many_letters():
    letters = compact_letters(~np.eye(60, dtype=bool), list(range(60)))
    assert letters[:2] == ["a", "b"]
    assert letters[26] == "A"
    assert letters[52] == "a1"
    assert len(set(letters)) == 60
