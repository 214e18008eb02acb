"""Values by subject survive a round trip through text."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from harmbench.statistics.estimate import by_subject
from harmbench.statistics.subjects import SubjectValues, decode, encode

COLUMNS = ["subject", "scan", "slice", "metric", "value"]


def test_subjects_are_written_and_read_back():
    rows = [
        ("p,1", "a", 0, "psnr", 20.123456789),
        ("p,1", "a", 1, "psnr", 22.0),
        ('ö"2', "a", 0, "psnr", math.inf),
        ('ö"2', "a", -1, "mae", 0.25),
    ]
    result = encode(by_subject(pd.DataFrame(rows, columns=COLUMNS)))
    assert set(result) == {"", "psnr", "mae"}
    names, values = decode(result[""], result["psnr"])
    assert dict(zip(names, values, strict=True)) == {"p,1": 21.0617284, 'ö"2': math.inf}
    assert decode(result[""], result["mae"])[0] == ('ö"2',)


def test_a_run_without_subject_values_has_no_subjects():
    assert decode("", "")[0] == ()
    assert decode('["p"]', "")[0] == ()
    assert decode('["p"]', "1.0,2.0")[0] == ()


def test_a_column_holds_those_who_have_a_value():
    subjects = SubjectValues(("a", "b"), ("m", "n"), np.array([[1.0, 2.0], [math.nan, 3.0]]))
    assert subjects.column("m").to_dict() == {"a": 1.0}
    assert subjects.column("n").to_dict() == {"a": 2.0, "b": 3.0}
    assert subjects.column("other").empty
