import json

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from harmbench.cohorts.phantom.subject import AGES, draw_age, draw_subject

MANY = [f"Q{i}" for i in range(150)]  # of no cohort


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**31))
def test_every_subject_that_is_drawn_is_possible(number):
    subject = draw_subject(f"Q{number}")
    assert AGES[0] <= subject.age == draw_age(f"Q{number}") <= AGES[1]
    assert all(0.85 < scale < 1.15 for scale in subject.scale)
    assert 0.8 < subject.size < 1.05
    assert -0.5 < subject.ventricles < 0.9  # below 1 the widening stays one to one
    assert all(0.85 < factor < 1.25 for factor in (*subject.t1, subject.water))
    assert subject.iron >= 0


def test_age_shows_in_ventricles_thickness_iron_and_lesions():
    subjects = [draw_subject(name) for name in MANY]
    age = [subject.age for subject in subjects]
    plain = [subject for subject in subjects if not subject.large_ventricles]
    assert np.corrcoef([s.age for s in plain], [s.ventricles for s in plain])[0, 1] > 0.6
    for values in (
        [subject.thinning for subject in subjects],
        [subject.atrophy for subject in subjects],
        [subject.iron for subject in subjects],
        [len(subject.lesions) for subject in subjects],
    ):
        assert np.corrcoef(age, values)[0, 1] > 0.4
    young = [s.t1[1] for s in subjects if 30 < s.age < 50]
    old = [s.t1[1] for s in subjects if s.age > 75]
    assert np.mean(old) > 1.02 * np.mean(young)


def test_some_have_large_ventricles_and_some_have_none_of_it():
    share = np.mean([draw_subject(name).large_ventricles for name in MANY])
    assert 0.04 < share < 0.25


def test_details_are_json():
    details = draw_subject("P00001").details
    assert json.loads(json.dumps(details)) == details
