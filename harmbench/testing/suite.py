"""Find the checks of a method or a task, and run them."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from harmbench.contracts.method import Method
from harmbench.contracts.metric import Metric
from harmbench.contracts.task import Task
from harmbench.errors import UserError
from harmbench.plugins import Entry, Registry
from harmbench.testing.checks import (
    Check,
    CheckResult,
    CheckStatus,
    check_expected_failures,
    perform,
    why_nothing_applied,
)
from harmbench.testing.method_candidate import MethodCandidate
from harmbench.testing.method_checks import METHOD_CHECKS
from harmbench.testing.task_candidate import TaskCandidate
from harmbench.testing.task_checks import TASK_CHECKS
from harmbench.testing.tiny import SOURCES
from harmbench.util.home import home


class Conformance:
    """The checks of one method or task; they share its fit.

    Attributes
    ----------
    category, name
        `"method"` or `"task"`, and its name.
    checks
        All checks of the category.
    """

    def __init__(
        self,
        category: str,
        name: str,
        candidate: Any,
        checks: Sequence[Check[Any]],
        expected_failures: Mapping[str, str],
    ) -> None:
        self.category, self.name, self.checks = category, name, checks
        self._candidate = candidate
        self._expected = check_expected_failures(expected_failures, checks)

    def perform(self, check: str) -> CheckResult:
        """Run the check of that name.

        Raises
        ------
        UserError
            If there is none.
        """
        checks = {check.name: check for check in self.checks}
        if check not in checks:
            raise UserError.unknown("check", check, checks)
        with _one_thread():
            return perform(checks[check], self._candidate, self._expected)

    @property
    def costs(self) -> str:
        """Time and memory so far, in one line."""
        return str(self._candidate.costs)


@dataclass(frozen=True)
class Report:
    """Results of all checks of a method or task.

    Attributes
    ----------
    name
        Name of the method or task.
    results
        Result of each check, in order.
    costs
        Time and memory, in one line.
    """

    name: str
    results: tuple[CheckResult, ...]
    costs: str

    @property
    def failures(self) -> tuple[CheckResult, ...]:
        """The checks that failed."""
        return tuple(result for result in self.results if result.status is CheckStatus.FAILED)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Run a block on one thread: fast for small tensors, and reproducible to the bit."""
    usual = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(usual)


def _metrics(registry: Registry) -> list[Metric]:
    return [entry.build() for entry in registry.entries("metrics").values()]


# Folders of the candidates' stores, removed when the process ends.
_folders: list[tempfile.TemporaryDirectory[str]] = []


def _folder() -> Path:
    _folders.append(tempfile.TemporaryDirectory(prefix="harmbench-testing-"))
    return Path(_folders[-1].name)


def of_method(method: type[Any], entry: Entry | None = None) -> Conformance:
    """Return the checks of a method's class; see `find`."""
    if not (isinstance(method, type) and issubclass(method, Method)):
        name = "the class" if entry is None else f"'{entry.name}'"
        raise UserError(f"{name} cannot be checked as a method: it is not derived from Method")
    candidate = MethodCandidate(method, entry, _folder())
    return Conformance("method", candidate.name, candidate, METHOD_CHECKS, method.expected_failures)


def of_task(task: Callable[[], Any], registry: Registry, entry: Entry | None = None) -> Conformance:
    """Return the checks of the task that `task()` builds; see `find`."""
    candidate = TaskCandidate(task, entry, _folder(), _metrics(registry))
    if not isinstance(candidate.task, Task):
        raise UserError(
            f"{type(candidate.task).__name__} cannot be checked as a task: it is not derived from "
            "Task"
        )
    expected = candidate.task.expected_failures
    return Conformance("task", candidate.name, candidate, TASK_CHECKS, expected)


def find(
    candidate: str | type[Any],
    *,
    registry: Registry | None = None,
    category: str | None = None,
) -> Conformance:
    """Return the checks of a method or a task.

    Parameters
    ----------
    candidate
        A registered name, or a class.
    registry
        Plugins to look names up in; all installed plugins by default.
    category
        `"method"` or `"task"`, if both have the name.

    Raises
    ------
    UserError
        If no method or task has the name, or the class is neither.
    """
    registry = registry or Registry.discover(home=home())
    if not isinstance(candidate, str):
        if isinstance(candidate, type) and issubclass(candidate, Task):
            return of_task(candidate, registry)
        return of_method(candidate)
    methods = {} if category == "task" else registry.entries("methods")
    tasks = {} if category == "method" else registry.entries("tasks", SOURCES)
    if candidate in methods:
        return of_method(methods[candidate].load(), methods[candidate])
    if candidate in tasks:
        return of_task(tasks[candidate].build, registry, tasks[candidate])
    raise UserError.unknown(category or "method or task", candidate, [*methods, *tasks])


def _check(candidate: str | type[Any], category: str, registry: Registry | None) -> Report:
    conformance = find(candidate, registry=registry, category=category)
    results = tuple(conformance.perform(check.name) for check in conformance.checks)
    report = Report(conformance.name, results, conformance.costs)
    if report.failures:
        texts = [
            f"{category} '{report.name}', check '{failure.check}'\n{failure.text}"
            for failure in report.failures
        ]
        raise AssertionError("\n\n".join(texts))
    reason = why_nothing_applied(results)
    if reason is not None:
        raise AssertionError(f"no check applied to the {category} '{report.name}': {reason}")
    return report


def check_method(candidate: str | type[Method], *, registry: Registry | None = None) -> Report:
    """Run all checks of a method.

    Parameters
    ----------
    candidate
        Its registered name, or its class.
    registry
        Plugins to look names up in; all installed plugins by default.

    Returns
    -------
    Report
        Result of each check.

    Raises
    ------
    AssertionError
        If a check failed, with the expected and observed property and a fix.
    """
    return _check(candidate, "method", registry)


def check_task(candidate: str | type[Task], *, registry: Registry | None = None) -> Report:
    """Run all checks of a task; see `check_method`."""
    return _check(candidate, "task", registry)
