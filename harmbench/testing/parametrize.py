"""The conformance suite as pytest tests, one per check."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from harmbench.testing.checks import CheckStatus
from harmbench.testing.suite import Conformance, find

# Candidates checked in this process, for the summary at the end.
checked: dict[str | type[Any], Conformance] = {}


class BoundCheck:
    """A check of one method or task; call it within a test.

    Raises
    ------
    AssertionError
        If it fails, with the expected and observed property and a fix.
    """

    def __init__(self, candidate: str | type[Any], name: str) -> None:
        self.candidate, self.name = candidate, name

    def __call__(self) -> None:
        """Run the check; one that does not apply skips the test, with the reason."""
        __tracebackhide__ = True
        result = _conformance(self.candidate).perform(self.name)
        if result.status is CheckStatus.SKIPPED:
            pytest.skip(result.text)
        if result.status is CheckStatus.EXPECTED:
            pytest.xfail(result.text)
        if result.status is CheckStatus.FAILED:
            raise AssertionError(f"check '{self.name}'\n{result.text}")

    def __repr__(self) -> str:
        candidate = self.candidate
        return f"{candidate if isinstance(candidate, str) else candidate.__name__}-{self.name}"


def _conformance(candidate: str | type[Any]) -> Conformance:
    if candidate not in checked:
        checked[candidate] = find(candidate)
    return checked[candidate]


def checks(*candidates: str | type[Any]) -> list[BoundCheck]:
    """Return the checks of methods and tasks, given by registered name or as classes."""
    return [
        BoundCheck(candidate, check.name)
        for candidate in candidates
        for check in _conformance(candidate).checks
    ]


def parametrize_with_checks(*candidates: str | type[Any]) -> Callable[[Any], Any]:
    """Run a test once per check of methods and tasks.

    Parameters
    ----------
    candidates
        Registered names, or classes.

    Examples
    --------
    In a test file::

        @parametrize_with_checks("my-method")
        def test_my_method(check):
            check()
    """
    return pytest.mark.parametrize("check", checks(*candidates), ids=repr)
