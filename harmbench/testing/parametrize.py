"""The suite as tests of pytest: one for each check."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from harmbench.testing.checks import CheckStatus
from harmbench.testing.suite import Conformance, find

# What was checked in this process, for the summary at the end.
checked: dict[str | type[Any], Conformance] = {}


class BoundCheck:
    """A check of one method or task: call it within a test.

    Raises
    ------
    AssertionError
        If it fails, with what was expected, what came and how to mend it.
    """

    def __init__(self, what: str | type[Any], name: str) -> None:
        self.what, self.name = what, name

    def __call__(self) -> None:
        """Make the check; one that has nothing to check skips the test, with its reason."""
        __tracebackhide__ = True
        outcome = _conformance(self.what).perform(self.name)
        if outcome.status is CheckStatus.SKIPPED:
            pytest.skip(outcome.text)
        if outcome.status is CheckStatus.EXPECTED:
            pytest.xfail(outcome.text)
        if outcome.status is CheckStatus.FAILED:
            raise AssertionError(f"check '{self.name}'\n{outcome.text}")

    def __repr__(self) -> str:
        what = self.what if isinstance(self.what, str) else self.what.__name__
        return f"{what}-{self.name}"


def _conformance(what: str | type[Any]) -> Conformance:
    if what not in checked:
        checked[what] = find(what)
    return checked[what]


def checks(*what: str | type[Any]) -> list[BoundCheck]:
    """Return the checks of methods and tasks, given by registered name or as classes."""
    return [BoundCheck(one, check.name) for one in what for check in _conformance(one).checks]


def parametrize_with_checks(*what: str | type[Any]) -> Callable[[Any], Any]:
    """Run a test once for every check of methods and tasks.

    Parameters
    ----------
    what
        Registered names, or classes.

    Examples
    --------
    In a test file::

        @parametrize_with_checks("my-method")
        def test_my_method(check):
            check()
    """
    return pytest.mark.parametrize("check", checks(*what), ids=repr)
