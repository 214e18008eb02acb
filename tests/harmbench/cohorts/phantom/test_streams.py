import numpy as np

from harmbench.cohorts.phantom.streams import (
    SEED,
    clipped_normal,
    is_test,
    name_test_subject,
    name_training_subject,
    subject_generator,
    subject_seed,
)
from harmbench.util.seeds import derive


def test_names_tell_test_subjects_from_others():
    assert is_test(name_test_subject(3))
    assert not is_test(name_training_subject(3))
    assert name_test_subject(1) != name_test_subject(2)


def test_no_training_purpose_reaches_the_stream_of_a_test_subject():
    """Neither its own name nor any other under the purpose of training subjects."""
    test = subject_seed(name_test_subject(1), "anatomy")
    purpose = "phantom training subject"
    assert subject_seed(name_training_subject(1), "anatomy") == derive(
        SEED, purpose, name_training_subject(1), "anatomy"
    )
    for name in (name_test_subject(1), name_training_subject(1), "1"):
        assert derive(SEED, purpose, name, "anatomy") != test


def test_streams_differ_by_axis_and_repeat():
    first, again, other = (
        subject_generator("P00001", axis).standard_normal() for axis in ("a", "a", "b")
    )
    assert first == again != other


def test_clipped_draws_are_within_two_and_a_half_deviations():
    generator = np.random.default_rng(0)
    values = [clipped_normal(generator, 1.0, 2.0) for _ in range(2000)]
    assert min(values) == -4.0
    assert max(values) == 6.0
