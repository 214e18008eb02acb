"""Named checks, and what becomes of one."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Generic, TypeVar

from harmbench.errors import UserError, one_line

S = TypeVar("S")


class CheckFailure(AssertionError):  # noqa: N818 - what failed is a check
    """Something is not as it must be.

    Parameters
    ----------
    expected, came, mend
        What was expected, what came instead, and how to mend it.
    """

    def __init__(self, expected: str, came: str, mend: str) -> None:
        super().__init__(f"expected  {expected}\ncame      {came}\nmend      {mend}")
        self.expected, self.came, self.mend = expected, came, mend


class NotApplicable(Exception):  # noqa: N818 - an outcome with a reason, not a fault
    """A check that has nothing to check here, with the reason."""


class CheckStatus(StrEnum):
    """How a check ended."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"
    EXPECTED = "expected failure"


@dataclass(frozen=True)
class Check(Generic[S]):
    """One property, and the function that raises `CheckFailure` where it does not hold.

    Attributes
    ----------
    name
        As in reports and in `expected_failures`.
    summary
        One sentence on what must hold.
    """

    name: str
    summary: str
    function: Callable[[S], None]


@dataclass(frozen=True)
class CheckResult:
    """What became of a check.

    Attributes
    ----------
    check
        Its name.
    status
        How it ended.
    text
        Why it was skipped or failed.
    seconds
        How long it took.
    """

    check: str
    status: CheckStatus
    text: str
    seconds: float


class CheckList(list[Check[S]]):
    """The checks of a kind, in the order in which they are made."""

    def add(self, name: str) -> Callable[[Callable[[S], None]], Callable[[S], None]]:
        """Add a function whose docstring says in one sentence what must hold."""

        def added(function: Callable[[S], None]) -> Callable[[S], None]:
            summary = (function.__doc__ or "").strip().splitlines()[0]
            self.append(Check(name, summary, function))
            return function

        return added


def known(expected_failures: Mapping[str, str], checks: Sequence[Check[Any]]) -> Mapping[str, str]:
    """Return the failures that are declared.

    Raises
    ------
    UserError
        If one is of no check, or gives no reason.
    """
    names = [check.name for check in checks]
    for name, reason in expected_failures.items():
        if name not in names:
            raise UserError.unknown("check", name, names)
        if not reason:
            raise UserError(f"the expected failure of the check '{name}' needs a reason")
    return expected_failures


def perform(check: Check[S], candidate: S, expected_failures: Mapping[str, str]) -> CheckResult:
    """Make a check; whatever it raises is its outcome."""
    began = time.perf_counter()
    status, text = _performed(check, candidate)
    reason = expected_failures.get(check.name)
    if reason is not None:
        if status is CheckStatus.FAILED:
            status, text = CheckStatus.EXPECTED, reason
        elif status is CheckStatus.PASSED:
            status, text = (
                CheckStatus.FAILED,
                str(
                    CheckFailure(
                        f"a failure, as declared: {reason}",
                        "the check passes",
                        f"take '{check.name}' out of expected_failures",
                    )
                ),
            )
    return CheckResult(check.name, status, text, time.perf_counter() - began)


def _performed(check: Check[S], candidate: S) -> tuple[CheckStatus, str]:
    try:
        check.function(candidate)
    except NotApplicable as reason:
        return CheckStatus.SKIPPED, str(reason)
    except CheckFailure as failure:
        return CheckStatus.FAILED, str(failure)
    except Exception as error:
        raised = CheckFailure(check.summary, one_line(error), "see to it that nothing is raised")
        return CheckStatus.FAILED, str(raised)
    return CheckStatus.PASSED, ""
