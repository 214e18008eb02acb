"""The conformance suite for methods and tasks.

In a plugin's test file::

    from harmbench.testing import parametrize_with_checks

    @parametrize_with_checks("my-method")
    def test_my_method(check):
        check()

or in one line, `check_method("my-method")`, or on the command line, `harmbench check my-method`.
Declare an expected failure on the class, with the reason:
`expected_failures = {"batches": "the paper normalises whole batches"}`. If that check passes, it
is reported as an error.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harmbench.testing.checks import CheckFailure as CheckFailure
    from harmbench.testing.checks import CheckResult as CheckResult
    from harmbench.testing.checks import CheckStatus as CheckStatus
    from harmbench.testing.parametrize import parametrize_with_checks as parametrize_with_checks
    from harmbench.testing.suite import Report as Report
    from harmbench.testing.suite import check_method as check_method
    from harmbench.testing.suite import check_task as check_task
    from harmbench.testing.tiny import tiny_cohort as tiny_cohort

_LAZY = {
    "CheckFailure": "harmbench.testing.checks",
    "CheckResult": "harmbench.testing.checks",
    "Report": "harmbench.testing.suite",
    "CheckStatus": "harmbench.testing.checks",
    "check_method": "harmbench.testing.suite",
    "check_task": "harmbench.testing.suite",
    "parametrize_with_checks": "harmbench.testing.parametrize",
    "tiny_cohort": "harmbench.testing.tiny",
}

__all__ = [
    "CheckFailure",
    "CheckResult",
    "CheckStatus",
    "Report",
    "check_method",
    "check_task",
    "parametrize_with_checks",
    "tiny_cohort",
]


def __getattr__(name: str) -> Any:
    """Load a public name on first use (PEP 562)."""
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'harmbench.testing' has no attribute {name!r}")
