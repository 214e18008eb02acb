"""Facts of a study's cohort, and splits of subjects with several labels."""

from __future__ import annotations

import pytest

from harmbench.cohorts.study.records import cohort_facts, splits_by_subject
from harmbench.cohorts.study.scans import StudyScans
from harmbench.errors import UserError


def test_facts_name_what_is_unassigned_and_what_was_learned(study):
    scans = StudyScans(domains={}, unassigned={"a.nii": "site is 'x'"}, notes=["a note"])
    facts = {"unassigned": {"a.nii": "site is 'x'"}, "notes": ["a note"], "doubts": ["a doubt"]}
    assert cohort_facts(study.recipe, scans, ["a doubt"], ()) == facts
    assert cohort_facts(study.recipe, scans, ["a doubt"], (0.05, 0.95)) == {
        **facts,
        "standard": [0.05, 0.95],
    }


def test_labels_of_one_subject_need_one_split():
    subject_of = {"a": "a", "b": "a"}
    splits = {"a": "test", "b": "test", "c": "train"}
    assert splits_by_subject(splits, subject_of, "split") == {"a": "test", "c": "train"}
    with pytest.raises(UserError, match="'b' and 'a' are one subject but have the splits 'train'"):
        splits_by_subject({**splits, "b": "train"}, subject_of, "split")
