"""Named checks and their results."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Generic, TypeVar

from harmbench.errors import UserError, one_line

S = TypeVar("S")


class CheckFailure(AssertionError):  # noqa: N818 - a failed check, not an error of the suite
    """A property that a method or task does not have.

    Parameters
    ----------
    expected, got, fix
        The expected property, the observed one, and how to correct the code.
    """

    def __init__(self, expected: str, got: str, fix: str) -> None:
        super().__init__(f"expected  {expected}\ngot       {got}\nfix       {fix}")
        self.expected, self.got, self.fix = expected, got, fix


class NotApplicable(Exception):  # noqa: N818 - a result with a reason, not an error
    """A check does not apply to this method or task; the message is the reason."""


class CheckStatus(StrEnum):
    """How a check ended."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"
    EXPECTED = "expected failure"


@dataclass(frozen=True)
class Check(Generic[S]):
    """One property, and the function that raises `CheckFailure` if it does not hold.

    Attributes
    ----------
    name
        Name in reports and in `expected_failures`.
    summary
        The property, in one sentence.
    """

    name: str
    summary: str
    function: Callable[[S], None]


@dataclass(frozen=True)
class CheckResult:
    """Result of a check.

    Attributes
    ----------
    check
        Name of the check.
    status
        How it ended.
    text
        Why it was skipped or failed.
    seconds
        Its duration.
    """

    check: str
    status: CheckStatus
    text: str
    seconds: float


def why_nothing_applied(results: Sequence[CheckResult]) -> str | None:
    """Return the reason if all checks, or all beyond the registration, were skipped, else None."""
    skipped = [result for result in results if result.status is CheckStatus.SKIPPED]
    applied = {result.check for result in results if result.status is not CheckStatus.SKIPPED}
    return skipped[0].text if skipped and applied <= {"registration"} else None


class CheckList(list[Check[S]]):
    """Checks of methods or of tasks, in the order in which they run."""

    def add(self, name: str) -> Callable[[Callable[[S], None]], Callable[[S], None]]:
        """Add a function; the first line of its docstring states the property."""

        def added(function: Callable[[S], None]) -> Callable[[S], None]:
            summary = (function.__doc__ or "").strip().splitlines()[0]
            self.append(Check(name, summary, function))
            return function

        return added


def check_expected_failures(
    expected_failures: Mapping[str, str], checks: Sequence[Check[Any]]
) -> Mapping[str, str]:
    """Return declared failures, if each names a check and gives a reason.

    Raises
    ------
    UserError
        If one does not.
    """
    names = [check.name for check in checks]
    for name, reason in expected_failures.items():
        if name not in names:
            raise UserError.unknown("check", name, names)
        if not reason:
            raise UserError(f"the expected failure of the check '{name}' needs a reason")
    return expected_failures


def perform(check: Check[S], candidate: S, expected_failures: Mapping[str, str]) -> CheckResult:
    """Run a check; whatever it raises is its result."""
    began = time.perf_counter()
    status, text = _performed(check, candidate)
    reason = expected_failures.get(check.name)
    if reason is not None:
        if status is CheckStatus.FAILED:
            status, text = CheckStatus.EXPECTED, reason
        elif status is CheckStatus.PASSED:
            failure = CheckFailure(
                f"a failure, as declared: {reason}",
                "the check passes",
                f"remove '{check.name}' from expected_failures",
            )
            status, text = CheckStatus.FAILED, str(failure)
    return CheckResult(check.name, status, text, time.perf_counter() - began)


def _performed(check: Check[S], candidate: S) -> tuple[CheckStatus, str]:
    try:
        check.function(candidate)
    except NotApplicable as reason:
        return CheckStatus.SKIPPED, str(reason)
    except CheckFailure as failure:
        return CheckStatus.FAILED, str(failure)
    except Exception as error:
        unexpected = CheckFailure(
            check.summary, one_line(error), "correct the code that raises this"
        )
        return CheckStatus.FAILED, str(unexpected)
    return CheckStatus.PASSED, ""
