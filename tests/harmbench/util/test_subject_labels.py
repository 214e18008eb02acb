"""Labels of subjects in different spellings."""

from __future__ import annotations

import pytest

from harmbench.util.subject_labels import alike_labels, match_labels


@pytest.mark.parametrize(
    ("labels", "others", "matched"),
    [
        (["0050701"], ["50701"], {"0050701": "50701"}),
        (["01", "10"], ["1", "10"], {"01": "1", "10": "10"}),
        (["a"], ["A"], {"a": "A"}),
        (["0"], ["00"], {"0": "00"}),
        (["1", "01"], ["1"], {"1": "1"}),
        (["01"], ["1", "001"], {}),
        (["1", "01"], ["001"], {}),
        (["a"], ["b"], {}),
    ],
)
def test_labels_match_if_no_third_is_like_them(labels, others, matched):
    assert match_labels(labels, others) == matched


def test_alike_labels_differ_in_zeros_and_case_only():
    assert alike_labels(["a", "sub-A", "01", "1", "2", "a"]) == [["01", "1"], ["A", "a"]]
