"""The check of how a method or a task is registered."""

from __future__ import annotations

import functools
import subprocess
import sys

from harmbench.plugins import Entry
from harmbench.testing.checks import CheckFailure, NotApplicable
from harmbench.util.lazy import shown_attributes

# Loading one of these takes longer than `harmbench --help` may.
HEAVY = ("torch", "monai", "mlflow", "pandas")
SINGLE_FILE_ORIGINS = ("--plugin", "user folder")


def check_registration(category: str, entry: Entry | None, name: str, summary: str) -> None:
    """Check name, summary, declared attributes and import time of a registered method or task.

    Parameters
    ----------
    category
        `"method"` or `"task"`.
    entry
        The registration; None if a class is checked.
    name, summary
        As on the class.

    Raises
    ------
    CheckFailure, NotApplicable
        As every check.
    """
    if entry is None:
        raise NotApplicable("a class is checked, not a registered name")
    if name != entry.name:
        raise CheckFailure(
            f"the {category} registered as '{entry.name}' has that name",
            f"name = {name!r}",
            f'set name = "{entry.name}", or register it as {name!r}',
        )
    if not summary.strip() or "\n" in summary:
        raise CheckFailure(
            "a summary of one line, for `harmbench list`",
            f"summary = {summary!r}",
            'set summary = "what it does, in one line"',
        )
    if entry.lazy.declared:
        _check_declared(entry)
    if entry.plugin.origin in SINGLE_FILE_ORIGINS:
        raise NotApplicable("a single file is loaded with everything it imports")
    _check_import(category, getattr(entry.plugin.module, "__name__", ""))


def _check_declared(entry: Entry) -> None:
    """Compare the attributes that a registration declares with those of the class.

    Classes of tasks and metrics have no reference.
    """
    loaded = entry.load()
    cls = shown_attributes(loaded)
    for name, declared in shown_attributes(entry.lazy).items():
        if declared != cls[name] and (name != "reference" or hasattr(loaded, name)):
            raise CheckFailure(
                f"the registration of '{entry.name}' declares the attributes of its class",
                f"{name} = {declared!r}, on the class {cls[name]!r}",
                f"set {name}={cls[name]!r} in Lazy(...)",
            )


@functools.cache
def _imported(module: str, path: tuple[str, ...]) -> subprocess.CompletedProcess[str]:
    """Import a module in a new process that prints the heavy libraries which are then loaded.

    Once for all methods and tasks that one module registers.
    """
    code = (
        f"import sys; sys.path[:] = {path!r}\n"
        f"import importlib; importlib.import_module({module!r})\n"
        f"print(','.join(name for name in {HEAVY!r} if name in sys.modules))"
    )
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


def _check_import(category: str, module: str) -> None:
    """A plugin's module must load no heavy library."""
    done = _imported(module, tuple(sys.path))
    if done.returncode:
        raise CheckFailure(
            f"the module '{module}' can be imported",
            done.stderr.strip().splitlines()[-1],
            f"correct the error that `python -c 'import {module}'` shows",
        )
    loaded = done.stdout.strip()
    if loaded:
        raise CheckFailure(
            f"importing '{module}', which registers the {category}, loads no heavy library",
            f"it loads {loaded.replace(',', ', ')}",
            f'register "package.module:Class" in a module that does not import the {category}',
        )
