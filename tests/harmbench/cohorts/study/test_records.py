"""Facts of a study's cohort."""

from __future__ import annotations

from harmbench.cohorts.study.records import cohort_facts


def test_facts_name_what_is_unassigned_and_what_was_learned(study):
    assert cohort_facts(study.recipe, 3, ()) == {"unassigned": 3}
    assert cohort_facts(study.recipe, 0, (0.05, 0.95)) == {
        "unassigned": 0,
        "standard": [0.05, 0.95],
    }
