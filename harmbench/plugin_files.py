"""Single-file plugins: a Python file with methods, or a TOML file with a command."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path
from typing import Any

from harmbench.util.hashing import digest

_FILE_MODULE = "harmbench_plugin_"
# By name, since a command is a method, and methods are built on what imports this module.
_COMMANDS = "harmbench.external.command_plugin"


def plugin_file(cls: type) -> Path | None:
    """Return the single-file plugin that defines a class, or None."""
    module = sys.modules.get(cls.__module__)
    if not cls.__module__.startswith(_FILE_MODULE) or module is None:
        return None
    return Path(str(module.__file__))


def module_of(source: Any, home: Path | None) -> Any:
    """Return the module of a single file: Python, or TOML of a command; a module as it is."""
    if not isinstance(source, Path):
        return source
    if source.suffix == ".toml":
        return importlib.import_module(_COMMANDS).command_plugin(source, home)
    return _import_file(source)


def _import_file(path: Path) -> Any:
    """Import a single file as a module with a unique name."""
    # Two folders may each have a file of the same name.
    name = f"{_FILE_MODULE}{path.stem}_{digest(str(path.resolve()))[:8]}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"'{path}' is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    # Not at the top: it loads NumPy, and most commands have no single-file plugin.
    from harmbench.util.seeds import seeded_import

    try:
        with seeded_import(path.stem):
            spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module
