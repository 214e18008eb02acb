"""The outcomes of tests in a process of their own."""

from __future__ import annotations

import pytest
from gpu.cuda_tests import outcomes

TESTS = """
import pytest

@pytest.fixture
def broken():
    raise ValueError("no device")

def test_passes(): pass
def test_fails(): assert False
def test_has_an_error(broken): pass
def test_is_skipped(): pytest.skip("no device")
"""


def test_failures_and_errors_are_counted_and_named(tmp_path):
    (tmp_path / "test_some.py").write_text(TESTS)
    found = outcomes(tmp_path)
    assert {name: found[name] for name in ("passed", "failed", "skipped", "error")} == {
        "passed": 1,
        "failed": 1,
        "skipped": 1,
        "error": 1,
    }
    failures = [name.partition(" ")[0].partition("::")[2] for name in found["failures"]]
    assert sorted(failures) == ["test_fails", "test_has_an_error"]


def test_tests_that_cannot_be_read_are_an_error(tmp_path):
    (tmp_path / "test_some.py").write_text("import nothing_of_this_name")
    with pytest.raises(RuntimeError, match="pytest ended with code 2: .*nothing_of_this_name"):
        outcomes(tmp_path)
