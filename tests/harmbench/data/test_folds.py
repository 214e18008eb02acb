"""Folds of cross-validation: the assignment of subjects, and the cohort of one fold."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harmbench.data.folds import assign_folds, folds_of, for_fold
from harmbench.errors import UserError

DOMAINS = st.sets(st.sampled_from("abc"), min_size=1)
SUBJECTS = st.dictionaries(st.text("pqrs", min_size=1), DOMAINS, min_size=1, max_size=40)


def sizes(folds_by_subject, subjects, folds):
    counts = Counter(folds_by_subject[subject] for subject in subjects)
    return [counts[number] for number in range(1, folds + 1)]


@given(SUBJECTS, st.integers(2, 7), st.data())
def test_every_subject_has_one_fold_and_every_stratum_is_balanced(domains, folds, data):
    ages = data.draw(st.dictionaries(st.sampled_from(sorted(domains)), st.floats(0, 100)))
    by_subject = assign_folds(domains, folds, ages)
    assert set(by_subject) == set(domains)
    assert set(by_subject.values()) <= set(range(1, folds + 1))
    for stratum in {frozenset(names) for names in domains.values()}:
        members = [subject for subject, names in domains.items() if names == stratum]
        numbers = sizes(by_subject, members, folds)
        assert max(numbers) - min(numbers) <= 1


@given(SUBJECTS, st.integers(2, 7), st.randoms())
def test_the_order_of_the_subjects_does_not_matter(domains, folds, random):
    shuffled = list(domains.items())
    random.shuffle(shuffled)
    assert assign_folds(dict(shuffled), folds) == assign_folds(domains, folds)


def test_remainders_of_disjoint_sites_do_not_pile_up():
    domains = {f"{site}{i}": {site} for site in "abcde" for i in range(7)}
    by_subject = assign_folds(domains, 5)
    assert sizes(by_subject, domains, 5) == [7] * 5


@pytest.mark.parametrize("folds", [2, 4, 5])
def test_neighbours_in_age_are_in_different_folds(folds):
    subjects = [f"p{i}" for i in range(20)]
    ages = {subject: 30.0 + i for i, subject in enumerate(subjects)}
    by_subject = assign_folds(dict.fromkeys(subjects, "a"), folds, ages)
    for start in range(0, 20, folds):
        block = [by_subject[subject] for subject in subjects[start : start + folds]]
        assert sorted(block) == list(range(1, folds + 1))
    assert by_subject != assign_folds(dict.fromkeys(subjects, "a"), folds)


@pytest.mark.parametrize("folds", [2, 3, 5])
def test_over_all_folds_every_subject_is_tested_once_with_all_scans(small_cohort, folds):
    tested = Counter()
    for fold in range(1, folds + 1):
        view = for_fold(small_cohort, fold, folds)
        assert (view.split, view.fold) == (f"{folds} folds", fold)
        assert len(view.table) == len(small_cohort.table)
        assert (view.table.groupby("subject")["split"].nunique() == 1).all()
        tested.update(set(view.table.loc[view.table["split"] == "test", "subject"]))
        for domain in (view.target, *view.sources):
            assert len(view.scans(domain, "train"))
    assert tested == dict.fromkeys(small_cohort.table["subject"], 1)
    assert (small_cohort.split, small_cohort.fold) == ("test", 0)


def test_validation_subjects_are_a_share_of_the_rest(small_cohort):
    # Of the target's seven subjects, three and four are not for testing.
    validation = [
        set(for_fold(small_cohort, fold, 2).scans("target", "validation").subjects)
        for fold in (1, 2)
    ]
    assert [len(subjects) for subjects in validation] == [0, 1]
    many = for_fold(small_cohort, 1, 5)
    assert len(set(many.scans("target", "validation").subjects)) == 1


def test_a_cohort_that_cannot_be_divided_is_one_clear_line(small_cohort, own_cohort):
    with pytest.raises(UserError, match="--folds 1: cross-validation needs at least two folds"):
        folds_of(small_cohort, 1)
    with pytest.raises(UserError, match=r"'target' of .* has only 7 subjects; .* --folds 7"):
        for_fold(small_cohort, 1, 8)
    cohort = own_cohort()
    cohort.facts = {"standard": [0.1, 0.9]}
    with pytest.raises(UserError, match="'minmax' learned from training subjects that folds test"):
        folds_of(cohort, 2)
    cohort.facts = {"no_folds": "it is confounded"}
    with pytest.raises(UserError, match="cohort 'small' has no folds: it is confounded"):
        folds_of(cohort, 2)
