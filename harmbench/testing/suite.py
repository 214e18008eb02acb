"""The suite: which checks there are for a name, and making them."""

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
from harmbench.testing.checks import Check, CheckResult, CheckStatus, known, perform
from harmbench.testing.method_candidate import MethodCandidate
from harmbench.testing.method_checks import METHOD_CHECKS
from harmbench.testing.task_candidate import TaskCandidate
from harmbench.testing.task_checks import TASK_CHECKS
from harmbench.testing.tiny_cohort import SOURCES


class Conformance:
    """The checks of one method or task, which share its fit.

    Attributes
    ----------
    kind, name
        `"method"` or `"task"`, and its name.
    checks
        All that there are for its kind.
    """

    def __init__(
        self,
        kind: str,
        name: str,
        candidate: Any,
        checks: Sequence[Check[Any]],
        expected_failures: Mapping[str, str],
    ) -> None:
        self.kind, self.name, self.checks = kind, name, checks
        self._subject = candidate
        self._expected = known(expected_failures, checks)

    def perform(self, check: str) -> CheckResult:
        """Make the check of that name.

        Raises
        ------
        UserError
            If there is none.
        """
        found = {one.name: one for one in self.checks}
        if check not in found:
            raise UserError.unknown("check", check, found)
        with _one_thread():
            return perform(found[check], self._subject, self._expected)

    @property
    def costs(self) -> str:
        """What it took so far, in a line."""
        return str(self._subject.costs)


@dataclass(frozen=True)
class Report:
    """What became of all checks of a method or task.

    Attributes
    ----------
    name
        Its name.
    outcomes
        What became of each check, in their order.
    costs
        Time and memory, in a line.
    """

    name: str
    outcomes: tuple[CheckResult, ...]
    costs: str

    @property
    def failures(self) -> tuple[CheckResult, ...]:
        """The checks that failed."""
        return tuple(one for one in self.outcomes if one.status is CheckStatus.FAILED)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Run a block on one thread: small sums are fast so, and the same to the last bit."""
    usual = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(usual)


def _metrics(registry: Registry) -> list[Metric]:
    return [entry.build() for entry in registry.entries("metrics").values()]


# Folders of the subjects' stores; they go when the process ends.
_folders: list[tempfile.TemporaryDirectory[str]] = []


def _folder() -> Path:
    _folders.append(tempfile.TemporaryDirectory(prefix="harmbench-testing-"))
    return Path(_folders[-1].name)


def of_method(method: type[Any], entry: Entry | None = None) -> Conformance:
    """Return the checks of a method's class; see `find`."""
    if not (isinstance(method, type) and issubclass(method, Method)):
        name = "the class" if entry is None else f"'{entry.name}'"
        raise UserError(f"{name} that is to be checked as a method is not derived from Method")
    candidate = MethodCandidate(method, entry, _folder())
    return Conformance("method", candidate.name, candidate, METHOD_CHECKS, method.expected_failures)


def of_task(task: Callable[[], Any], registry: Registry, entry: Entry | None = None) -> Conformance:
    """Return the checks of a task, given as what makes it; see `find`."""
    candidate = TaskCandidate(task, entry, _folder(), _metrics(registry))
    if not isinstance(candidate.task, Task):
        raise UserError(f"{type(candidate.task).__name__}, to be checked as a task, is no Task")
    expected = candidate.task.expected_failures
    return Conformance("task", candidate.name, candidate, TASK_CHECKS, expected)


def find(
    what: str | type[Any], *, registry: Registry | None = None, kind: str | None = None
) -> Conformance:
    """Return the checks of a method or a task.

    Parameters
    ----------
    what
        A registered name, or a class.
    registry
        Where names are looked up; all installed plugins by default.
    kind
        `"method"` or `"task"`, if both have the name.

    Raises
    ------
    UserError
        If there is no such name, or what it stands for is neither.
    """
    registry = registry or Registry.discover()
    if not isinstance(what, str):
        if isinstance(what, type) and issubclass(what, Task):
            return of_task(what, registry)
        return of_method(what)
    methods = {} if kind == "task" else registry.entries("methods")
    tasks = {} if kind == "method" else registry.entries("tasks", SOURCES)
    if what in methods:
        return of_method(methods[what].load(), methods[what])
    if what in tasks:
        return of_task(tasks[what].build, registry, tasks[what])
    raise UserError.unknown(kind or "method or task", what, [*methods, *tasks])


def _check(what: str | type[Any], kind: str, registry: Registry | None) -> Report:
    conformance = find(what, registry=registry, kind=kind)
    outcomes = tuple(conformance.perform(check.name) for check in conformance.checks)
    report = Report(conformance.name, outcomes, conformance.costs)
    if report.failures:
        raise AssertionError(
            "\n\n".join(f"{kind} '{report.name}', check '{one.check}'\n{one.text}"
                        for one in report.failures)
        )  # fmt: skip
    return report


def check_method(what: str | type[Method], *, registry: Registry | None = None) -> Report:
    """Make all checks of a method.

    Parameters
    ----------
    what
        Its registered name, or its class.
    registry
        Where names are looked up; all installed plugins by default.

    Returns
    -------
    Report
        What became of each.

    Raises
    ------
    AssertionError
        If one failed, with what was expected, what came and how to mend it.
    """
    return _check(what, "method", registry)


def check_task(what: str | type[Task], *, registry: Registry | None = None) -> Report:
    """Make all checks of a task, as `check_method` does of a method."""
    return _check(what, "task", registry)
