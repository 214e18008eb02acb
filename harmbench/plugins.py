"""Find plugins, isolate broken ones, and look up the names that they register."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from importlib.metadata import EntryPoint, entry_points, version
from pathlib import Path
from typing import Any

import pluggy

from harmbench import hookspecs
from harmbench.contracts.control_roles import role_fault
from harmbench.errors import UserError, one_line
from harmbench.plugin_files import module_of
from harmbench.util.lazy import SHOWN, Lazy, shown_attributes

KINDS = ("methods", "tasks", "cohorts", "metrics", "figures")


@dataclass(kw_only=True)
class Plugin:
    """One plugin, whether it works or not.

    Attributes
    ----------
    name, distribution, version
        The plugin's name, and the installed distribution it came with.
    origin
        Where it was found.
    module
        The registered module; None if the plugin is broken.
    registers
        The names it registers, by kind.
    errors
        Its errors, one line each.
    """

    name: str
    distribution: str
    version: str
    origin: str
    module: Any = None
    registers: dict[str, list[str]] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Entry:
    """A registered name, and the plugin that registers it."""

    name: str
    lazy: Lazy
    plugin: Plugin

    def load(self) -> Any:
        """Import the class.

        Raises
        ------
        UserError
            If importing it fails, with the plugin's name, or if the class claims a control role
            that it must not have.
        """
        try:
            loaded = self.lazy.load()
        except UserError:
            raise
        except (Exception, SystemExit) as error:
            raise UserError(
                f"'{self.name}' of plugin '{self.plugin.name}' ({self.plugin.distribution}) "
                f"cannot be loaded: {one_line(error)}"
            ) from error
        fault = role_fault(loaded, self.plugin.distribution)
        if fault is not None:
            raise UserError(f"'{self.name}' of plugin '{self.plugin.name}' is refused: {fault}")
        return loaded

    def attributes(self) -> dict[str, str]:
        """Return the attributes that listings show (`SHOWN`); missing ones are empty.

        The class is imported only if its registration does not declare them. If that fails,
        the summary is the error message.
        """
        try:
            return shown_attributes(self.lazy if self.lazy.declared else self.load())
        except UserError as error:
            return {**dict.fromkeys(SHOWN, ""), "summary": str(error)}

    def build(self, *args: Any, **kwargs: Any) -> Any:
        """Import the class and construct it with its registered arguments and the given ones."""
        return self.lazy.construct(self.load(), *args, **kwargs)


class Registry:
    """All plugins, and the names they register.

    Parameters
    ----------
    on_error
        Called with one line for each fault of a plugin as it happens; faults are not shown if
        None.

    Attributes
    ----------
    plugins
        Every plugin found, broken ones included.
    """

    def __init__(self, on_error: Callable[[str], None] | None = None) -> None:
        self.manager = pluggy.PluginManager("harmbench")
        self.manager.add_hookspecs(hookspecs)
        self.plugins: list[Plugin] = []
        self._on_error = on_error
        self._home: Path | None = None

    @classmethod
    def discover(
        cls,
        files: Sequence[Path] = (),
        on_error: Callable[[str], None] | None = None,
        *,
        home: Path | None = None,
    ) -> Registry:
        """Find plugins: built in, installed, in the user's folder, and in `files`.

        A broken plugin is kept with its errors, and does not affect others. With
        `HARMBENCH_STRICT_PLUGINS=1` it raises an error.

        Parameters
        ----------
        files
            Single-file plugins: Python, or TOML of a command.
        on_error
            As in the constructor.
        home
            Home folder, whose folder `plugins` holds the user's plugins; none of these if None.

        Raises
        ------
        UserError
            If one of `files` does not exist, or a plugin is broken and
            `HARMBENCH_STRICT_PLUGINS=1`.
        """
        registry = cls()
        registry._home = home
        registry._add_builtin()
        for point, distribution, number in _installed(_state_of_path()):
            plugin = Plugin(
                name=point.name,
                distribution=distribution,
                version=number,
                origin=f"entry point {point.value}",
            )
            registry._load(plugin, point.load)
        user_files = [] if home is None else [*(home / "plugins").glob("*.*")]
        for path in sorted(path for path in user_files if path.suffix in (".py", ".toml")):
            registry._load_file(path, "user folder")
        for path in files:
            if not path.is_file():
                raise UserError(f"no plugin file '{path}'")
            registry._load_file(path, "--plugin")
        registry._check_names()
        broken = [plugin for plugin in registry.plugins if plugin.errors]
        if broken and os.environ.get("HARMBENCH_STRICT_PLUGINS", "") not in ("", "0"):
            raise UserError(f"plugin '{broken[0].name}' is broken: {broken[0].errors[0]}")
        # Set last: errors while loading are kept in `Plugin.errors` only.
        registry._on_error = on_error
        return registry

    def report(self, line: str) -> None:
        """Report a fault of a plugin."""
        if self._on_error is not None:
            self._on_error(line)

    def add(self, plugin: Plugin, module: Any) -> None:
        """Register a loaded plugin; an error is kept with it."""
        self.plugins.append(plugin)
        try:
            self.manager.register(module, name=f"{plugin.name} ({plugin.distribution})")
            if not self.manager.get_hookcallers(module):
                raise TypeError("it implements no hook of harmbench")
            plugin.module = module
        except Exception as error:
            if self.manager.is_registered(module):
                self.manager.unregister(module)
            plugin.errors.append(one_line(error))

    def _add_builtin(self) -> None:
        from harmbench import builtin

        self.add(
            Plugin(
                name="harmbench",
                distribution="harmbench",
                version=version("harmbench"),
                origin="built in",
            ),
            builtin,
        )

    def _load_file(self, path: Path, origin: str) -> None:
        plugin = Plugin(name=path.stem, distribution=str(path), version="", origin=origin)
        self._load(plugin, lambda: path)

    def _load(self, plugin: Plugin, load: Callable[[], Any]) -> None:
        try:
            module = module_of(load(), self._home)
        except (Exception, SystemExit) as error:
            plugin.errors.append(one_line(error))
            self.plugins.append(plugin)
        else:
            self.add(plugin, module)

    def _check_names(self) -> None:
        """Record each plugin's names, and an error for a missing module or a claimed role."""
        for kind in KINDS:
            for plugin, names in self._claims(kind, ()):
                plugin.registers[kind] = sorted(names)
                plugin.errors += [
                    f"{kind[:-1]} '{name}': no module '{lazy.module}'"
                    for name, lazy in names.items()
                    if not lazy.exists()
                ]
                plugin.errors += [
                    f"{kind[:-1]} '{name}' is refused: {fault}"
                    for name, lazy in names.items()
                    if (fault := role_fault(lazy.known(), plugin.distribution))
                ]

    def call(self, hook: str, **arguments: Any) -> list[tuple[Plugin, Any]]:
        """Call a hook for each plugin separately, so that an error affects only its plugin.

        Returns
        -------
        list
            Each plugin that implements the hook without error, and its result.
        """
        answers: list[tuple[Plugin, Any]] = []
        working = [plugin for plugin in self.plugins if plugin.module is not None]
        for plugin in working:
            others = [other.module for other in working if other is not plugin]
            try:
                results = self.manager.subset_hook_caller(hook, others)(**arguments)
            except Exception as error:
                line = f"{hook}: {one_line(error)}"
                if line not in plugin.errors:
                    plugin.errors.append(line)
                    self.report(f"plugin '{plugin.name}': {line}")
                continue
            answers += [(plugin, result) for result in results]
        return answers

    def _claims(
        self, kind: str, sources: tuple[str, ...]
    ) -> Iterator[tuple[Plugin, dict[str, Lazy]]]:
        arguments = {"sources": sources} if kind == "tasks" else {}
        for plugin, answer in self.call(f"register_{kind}", **arguments):
            try:
                yield (
                    plugin,
                    {
                        str(name): lazy if isinstance(lazy, Lazy) else Lazy(_reference(lazy))
                        for name, lazy in _named(answer).items()
                    },
                )
            except (TypeError, ValueError) as error:
                plugin.errors.append(f"register_{kind}: {one_line(error)}")

    def entries(self, kind: str, sources: tuple[str, ...] = ()) -> dict[str, Entry]:
        """Return all entries of a kind, by name.

        Parameters
        ----------
        kind
            One of `KINDS`.
        sources
            Source domains of the cohort; the names of tasks may depend on them.

        Raises
        ------
        UserError
            If two plugins register the same name; the message names both.
        """
        entries: dict[str, Entry] = {}
        for plugin, names in self._claims(kind, sources):
            for name, lazy in names.items():
                if name in entries:
                    first = entries[name].plugin
                    raise UserError(
                        f"{kind[:-1]} '{name}' is registered by two plugins: '{first.name}' "
                        f"({first.distribution}) and '{plugin.name}' ({plugin.distribution})"
                    )
                entries[name] = Entry(name, lazy, plugin)
        return entries

    def entry(self, kind: str, name: str, sources: tuple[str, ...] = ()) -> Entry:
        """Look up one name.

        Raises
        ------
        UserError
            If no plugin registers the name; the message suggests a similar one.
        """
        entries = self.entries(kind, sources)
        if name not in entries:
            raise UserError.unknown(kind[:-1], name, entries)
        return entries[name]


def is_match(name: str, pattern: str) -> bool:
    """Return whether a name matches a pattern, or one of its alternatives that `|` separates.

    Examples
    --------
    >>> is_match("site-oslo", "domain*|site-*"), is_match("sim-exp", "domain*|site-*")
    (True, False)
    """
    return any(fnmatchcase(name, alternative) for alternative in pattern.split("|"))


def matching(kind: str, patterns: Iterable[str], names: Iterable[str]) -> list[str]:
    """Return the names that match any pattern, in the order of the patterns.

    Raises
    ------
    UserError
        If a pattern matches nothing.

    Examples
    --------
    >>> matching("task", ["sim-*"], ["domain1", "sim-exp", "sim-log"])
    ['sim-exp', 'sim-log']
    """
    candidates = list(names)
    chosen: dict[str, None] = {}
    for pattern in patterns:
        matches = [name for name in candidates if is_match(name, pattern)]
        if not matches:
            raise UserError.unknown(kind, pattern, candidates)
        chosen.update(dict.fromkeys(matches))
    return list(chosen)


def _named(answer: Any) -> Mapping[str, Any]:
    """Return what a hook registers by name: a mapping, or classes under their own `name`."""
    if isinstance(answer, Mapping):
        return answer
    classes = list(answer) if isinstance(answer, list | tuple) else [answer]
    unnamed = [
        each
        for each in classes
        if not (isinstance(each, type) and isinstance(getattr(each, "name", None), str))
    ]
    if unnamed or not isinstance(answer, list | tuple):
        shown = unnamed[0] if unnamed else answer
        raise TypeError(
            "return {name: class}, or a list of classes that have a `name`, not "
            f"{type(answer).__name__} with {shown!r}"
        )
    return {each.name: each for each in classes}


def _reference(value: Any) -> str:
    """Return the reference `module:Class` of a class; a reference is returned as it is."""
    if isinstance(value, str):
        return value
    if isinstance(value, type):
        return f"{value.__module__}:{value.__qualname__}"
    raise TypeError(f"expected 'module:Class' or a class, not {type(value).__name__}")


def _state_of_path() -> tuple[tuple[str, int], ...]:
    """Return the folders that distributions are installed in, with the times of their changes."""
    state = []
    for folder in sys.path:
        with suppress(OSError):  # a folder that does not exist
            state.append((folder, Path(folder).stat().st_mtime_ns))
    return tuple(state)


# To read the metadata of all distributions takes three quarters of the time of `discover`.
@functools.lru_cache(maxsize=1)
def _installed(state_of_path: tuple[tuple[str, int], ...]) -> list[tuple[EntryPoint, str, str]]:
    """Return the entry points of plugins by name, each with its distribution and version.

    They are read again only after a folder has changed.
    """
    points = sorted(entry_points(group="harmbench"), key=lambda point: point.name)
    return [
        (point, point.dist.name, point.dist.version) if point.dist else (point, "unknown", "")
        for point in points
    ]
