"""Content hashes of source code: of a class with all modules that it imports.

Comments, docstrings and blank lines do not count, so that a new version of a package keeps the
results whose code it did not change. Installed libraries do not count either: their versions are
recorded with each result (`harmbench.util.environment`).
"""

from __future__ import annotations

import ast
import functools
import importlib.util
import inspect
import sys
import sysconfig
import textwrap
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from harmbench.util.hashing import digest
from harmbench.util.interactive_code import interactive_code
from harmbench.util.stripped_code import stripped

# The packages of this distribution; each of their classes is hashed with what it imports.
_OWN = ("harmbench", "methods", "tasks")
# Modules that show, store, plan or schedule results, and compute none.
_NOT_COMPUTING = (
    "harmbench.builtin",
    "harmbench.cli",
    "harmbench.contracts.figure",
    "harmbench.data.appearance",
    "harmbench.errors",
    "harmbench.execution.compute.keyframes",
    "harmbench.execution.compute.seen",
    "harmbench.execution.plan",
    "harmbench.execution.schedule",
    "harmbench.hookspecs",
    "harmbench.leaderboard",
    "harmbench.plugins",
    "harmbench.preprocessing.memory_need",
    "harmbench.report",
    "harmbench.store",
    "harmbench.tracking",
    "harmbench.util.available_memory",
    "harmbench.util.device",
    "harmbench.util.environment",
    "harmbench.util.files",
    "harmbench.util.hashing",
    "harmbench.util.home",
    "harmbench.util.interactive_code",
    "harmbench.util.lazy",
    "harmbench.util.memory",
    "harmbench.util.processes",
    "harmbench.util.progress",
    "harmbench.util.source_code",
    "harmbench.util.stripped_code",
)
_WITHIN_NOT_COMPUTING = tuple(f"{name}." for name in _NOT_COMPUTING)
_STANDARD_LIBRARY = Path(sysconfig.get_path("stdlib")).resolve()
_BLOCKS = (ast.stmt, ast.excepthandler, ast.match_case)
_INSTALLED = {"site-packages", "dist-packages"}


def code_version(cls: type) -> str:
    """Return the version that a class declares, and the hash of the code that it runs.

    The code is the source of the modules of the class and its bases, and of every module that
    these import, at any depth, except libraries and the modules of harmbench that compute no
    result. For a class of an installed plugin package, it also includes all files of the folder
    that holds its module, since a plugin may load modules by name. Of a class without a source
    file, as in a notebook, it is the class and what the class uses of its own module.

    Examples
    --------
    >>> from harmbench.util.progress import Silent
    >>> code_version(Silent) == code_version(Silent)
    True
    """
    code = _class_code(cls)
    if _file(cls.__module__) is None:
        # Not cached: a function that the class calls may be defined again.
        code = digest(code, _without_file(cls))
    return f"{getattr(cls, 'version', '')}+{code}"


@functools.cache
def module_code(name: str) -> str:
    """Return the hash of a module of harmbench and of all modules that it imports."""
    return _hash(_closure([name]))


@functools.cache
def _class_code(cls: type) -> str:
    modules = dict.fromkeys(base.__module__ for base in cls.__mro__)
    roots = [name for name in modules if _file(name) is not None]
    module = cls.__module__
    # Of the class alone: a base may be of a library, such as torch, which does not count.
    files = _closure(roots, {module.partition(".")[0]})
    path = _file(module)
    if path is not None and "." in module and module.partition(".")[0] not in _OWN:
        files |= {str(other): other for other in path.parent.rglob("*.py")}
    return _hash(files)


def _without_file(cls: type) -> list[str]:
    """Return the code of a class whose module has no file."""
    with suppress(OSError, TypeError):
        source = textwrap.dedent(inspect.getsource(cls))
        return [stripped(source, ast.parse(source))]
    return interactive_code(cls)


def _hash(files: dict[str, Path]) -> str:
    sources = {_source(path, path.stat().st_mtime_ns).code for path in files.values()}
    return digest(sorted(sources))


def _closure(names: Iterable[str], packages: Collection[str] = ()) -> dict[str, Path]:
    """Return the source files of modules and of all modules that they import, by module.

    Installed modules are libraries, and left out, except those of `packages`.
    """
    files: dict[str, Path] = {}
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        path = _file(name)
        if name in files or path is None or not _counts(name, path, packages):
            continue
        files[name] = path
        waiting += _imports(name, path, path.stat().st_mtime_ns)
    files.pop("harmbench", None)  # it only names the public classes
    return files


def _counts(name: str, path: Path, packages: Collection[str]) -> bool:
    if name in _NOT_COMPUTING or name.startswith(_WITHIN_NOT_COMPUTING):
        return False
    if name.partition(".")[0] in (*_OWN, *packages):
        return True
    return _INSTALLED.isdisjoint(path.parts) and not path.is_relative_to(_STANDARD_LIBRARY)


@functools.cache
def _file(name: str) -> Path | None:
    """Return a module's Python file; None if there is none. No module is imported."""
    module = sys.modules.get(name)
    origin = getattr(module, "__file__", None)
    if origin is None:
        parent, _, last = name.rpartition(".")
        if parent:
            folder = _file(parent)
            if folder is None or folder.name != "__init__.py":
                return None
            candidates = [folder.parent / f"{last}.py", folder.parent / last / "__init__.py"]
            return next((path for path in candidates if path.is_file()), None)
        with suppress(ImportError, ValueError):
            spec = importlib.util.find_spec(name)
            origin = None if spec is None else spec.origin
    path = None if origin is None else Path(origin).resolve()
    return path if path is not None and path.suffix == ".py" and path.is_file() else None


class _Import(NamedTuple):
    """An import: the module, the dots before it, and the attribute; None of a plain `import`."""

    module: str
    level: int
    attribute: str | None

    def absolute(self, package: str) -> str:
        """Return the absolute name of the module, as imported in a package."""
        parents = package.split(".")
        base = parents[: len(parents) - self.level + 1] if self.level else []
        return ".".join([*base, *([self.module] if self.module else [])])


class _Source(NamedTuple):
    """A file's code without comments and docstrings, its imports that run, and all its imports."""

    code: str
    imports: tuple[_Import, ...]
    all_imports: tuple[_Import, ...]


@functools.cache
def _source(path: Path, mtime_ns: int) -> _Source:
    source = path.read_text(encoding="utf-8")
    tree = ast.parse(source)
    imports, all_imports = (
        tuple(_import_statements(tree, for_types=for_types)) for for_types in (False, True)
    )
    return _Source(stripped(source, tree), imports, all_imports)


@functools.cache
def _imports(name: str, path: Path, mtime_ns: int) -> tuple[str, ...]:
    """Return the names of the modules that a module imports, anywhere in its code."""
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    modules: dict[str, None] = {}
    for statement in _source(path, mtime_ns).imports:
        module = statement.absolute(package)
        if statement.attribute is None:
            modules[module] = None
        else:
            modules |= dict.fromkeys(_modules_of(module, statement.attribute))
    return tuple(modules)


def _modules_of(module: str, attribute: str) -> Iterator[str]:
    """Yield the modules that `from module import attribute` depends on."""
    submodule = f"{module}.{attribute}"
    path = _file(module)
    if path is not None and path.name == "__init__.py":
        if _file(submodule) is not None:
            yield submodule
            return
        origin = _exports(module, path, path.stat().st_mtime_ns).get(attribute)
        if origin is not None and origin != module:
            yield origin
    yield module


@functools.cache
def _exports(package: str, path: Path, mtime_ns: int) -> dict[str, str]:
    """Return the modules that a package's names come from, those for type checkers included."""
    return {
        statement.attribute: statement.absolute(package)
        for statement in _source(path, mtime_ns).all_imports
        if statement.attribute is not None
    }


def _import_statements(tree: ast.AST, *, for_types: bool) -> Iterator[_Import]:
    """Yield all imports, those for type checkers on request."""
    for node in _statements(tree):
        if isinstance(node, ast.Import):
            yield from (_Import(alias.name, 0, None) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            yield from (_Import(module, node.level, alias.name) for alias in node.names)
        elif isinstance(node, ast.If) and _is_type_checking(node.test) and not for_types:
            for statement in node.orelse:
                yield from _import_statements(statement, for_types=for_types)
        else:
            yield from _import_statements(node, for_types=for_types)


def _statements(node: ast.AST) -> Iterator[ast.AST]:
    """Yield the statements in a block; expressions, which contain none, take most of the time."""
    for name in node._fields:
        block = getattr(node, name)
        if isinstance(block, list) and block and isinstance(block[0], _BLOCKS):
            yield from block


def _is_type_checking(test: ast.expr) -> bool:
    return "TYPE_CHECKING" in (getattr(test, "id", ""), getattr(test, "attr", ""))
