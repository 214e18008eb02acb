"""The options that choose among results by method, task and cohort."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


def method_filter(action: str) -> Callable[[F], F]:
    """Add the option `--method`; `action` says what happens to the results, such as "Publish"."""
    return _filter(
        "-m", "--method", "methods", f"{action} only results of this method, with its variants"
    )


def task_filter(action: str) -> Callable[[F], F]:
    """Add the option `--task`."""
    return _filter("-t", "--task", "tasks", f"{action} only results of this task")


def target_filter(action: str) -> Callable[[F], F]:
    """Add the option `--target`."""
    return _filter("--target", "targets", f"{action} only results with this target domain")


def cohort_filter(action: str) -> Callable[[F], F]:
    """Add the option `--cohort`."""
    return _filter("--cohort", "cohorts", f"{action} only results on this cohort")


def _filter(*arguments: str) -> Callable[[F], F]:
    *names, text = arguments
    return click.option(
        *names, multiple=True, metavar="NAME", help=f"{text}; may be repeated, and may be a glob."
    )
