"""Methods and tasks that are given as names, classes or instances."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from typing import Any

from harmbench.errors import UserError
from harmbench.hookspecs import hookimpl
from harmbench.plugins import Plugin, Registry
from harmbench.util.hashing import canonical
from harmbench.util.lazy import Given

_ORIGIN = "python"


class _GivenPlugin:
    """The plugin of the classes and instances of one call."""

    def __init__(self, methods: dict[str, Given], tasks: dict[str, Given]) -> None:
        self._methods = methods
        self._tasks = tasks

    @hookimpl
    def register_methods(self) -> dict[str, Given]:
        """Return the methods."""
        return self._methods

    @hookimpl
    def register_tasks(self, sources: tuple[str, ...]) -> dict[str, Given]:
        """Return the tasks."""
        return self._tasks


@dataclasses.dataclass(frozen=True)
class GivenNames:
    """The names under which methods and tasks were registered.

    Attributes
    ----------
    methods, tasks
        Names or globs.
    assignments
        The settings of instances of methods, as `Request.assignments`.
    in_process
        Whether a class or an instance is among them, which other processes do not have.
    """

    methods: tuple[str, ...]
    tasks: tuple[str, ...]
    assignments: tuple[str, ...]
    in_process: bool


def register(registry: Registry, methods: Any, tasks: Any, preset: str) -> GivenNames:
    """Register classes and instances, and return the names of all methods and tasks.

    Parameters
    ----------
    registry
        Receives the classes.
    methods, tasks
        A name, glob, class or instance, or several of these. An instance of a method stands for
        its class with its settings: it is fitted again.
    preset
        The preset, from which the settings of an instance differ.

    Raises
    ------
    UserError
        If a value is none of these, or a class has no name.
    """
    given: dict[str, dict[str, Given]] = {"method": {}, "task": {}}
    names: dict[str, list[str]] = {"method": [], "task": []}
    assignments: list[str] = []
    for noun, values in (("method", methods), ("task", tasks)):
        known = {} if noun == "task" else registry.entries("methods")
        for value in _several(values):
            if isinstance(value, str):
                names[noun].append(value)
                continue
            name = _name(noun, value)
            names[noun].append(name)
            if noun == "method" and not isinstance(value, type):
                assignments += _assignments(name, value, preset)
                value = type(value)
            # A class of a plugin is registered already.
            if name not in known or known[name].load() is not value:
                given[noun][name] = Given.of(value)
    if given["method"] or given["task"]:
        plugin = Plugin(name=_ORIGIN, distribution=_ORIGIN, version="", origin="this process")
        registry.add(plugin, _GivenPlugin(given["method"], given["task"]))
    return GivenNames(
        methods=tuple(names["method"]),
        tasks=tuple(names["task"]),
        assignments=tuple(assignments),
        in_process=bool(given["method"] or given["task"]),
    )


def _several(values: Any) -> Sequence[Any]:
    return list(values) if isinstance(values, (list, tuple, set, frozenset)) else [values]


def _name(noun: str, value: Any) -> str:
    """Return the name of a class or an instance.

    Raises
    ------
    UserError
        If it is no method or task, or has no name.
    """
    from harmbench.contracts.method import Method
    from harmbench.contracts.task import Task

    base = Method if noun == "method" else Task
    cls = value if isinstance(value, type) else type(value)
    if not issubclass(cls, base):
        raise UserError(
            f"{value!r} is no {noun}: give a name, a class derived from {base.__name__}, or an "
            "instance of one"
        )
    name = getattr(value, "name", None) or cls.__name__.lower()
    return str(name)


def _assignments(name: str, method: Any, preset: str) -> list[str]:
    """Return the settings in which an instance differs from the preset.

    Raises
    ------
    UserError
        If a setting cannot be written as text.
    """
    config, usual = method.config, type(method).preset(preset)
    texts = []
    for item in dataclasses.fields(config):
        value = getattr(config, item.name)
        if value == getattr(usual, item.name):
            continue
        if value is None:
            raise UserError(
                f"the setting {name}.{item.name}=None of an instance has no form as text: give the "
                "class, and settings for the others"
            )
        texts.append(f"{name}.{item.name}={json.dumps(canonical(value))}")
    return texts
