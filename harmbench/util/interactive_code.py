"""The code of a class that has no source file, as one that was defined in a notebook."""

from __future__ import annotations

import types
from collections.abc import Iterator
from typing import Any

# Attributes that do not act: documentation, and what depends on where the code stands.
_IGNORED = {"__doc__", "__module__", "__dict__", "__weakref__", "__firstlineno__", "__qualname__"}
_PLAIN = (bool, int, float, complex, str, bytes, types.NoneType)


def interactive_code(cls: type) -> list[str]:
    """Return the code of a class and of everything that it uses of its own module.

    Functions count by their bytecode, and plain values by their text. So a change of a function
    that the class calls, in another cell of a notebook, changes the result. Comments,
    docstrings and positions do not count.

    Parameters
    ----------
    cls
        A class whose module has no file.
    """
    seen: dict[str, list[str]] = {}
    _visit(cls.__qualname__, cls, cls.__module__, seen)
    return [f"{name}: {' '.join(parts)}" for name, parts in sorted(seen.items())]


def _visit(name: str, value: Any, module: str, seen: dict[str, list[str]]) -> None:
    """Add a value of the module, and all values of the module that it uses."""
    if name in seen:
        return
    if isinstance(value, type):
        if value.__module__ != module:
            return
        seen[name] = [base.__qualname__ for base in value.__bases__]
        for base in value.__bases__:
            _visit(base.__qualname__, base, module, seen)
        for attribute, member in vars(value).items():
            if attribute not in _IGNORED:
                _visit(f"{name}.{attribute}", member, module, seen)
        return
    functions = list(_functions(value))
    if not functions:
        if _is_plain(value):
            seen[name] = [repr(value)]
        return
    seen[name] = []
    for function in functions:
        defaults = (function.__defaults__, function.__kwdefaults__)
        seen[name] += [*_texts(function.__code__, function.__doc__), repr(defaults)]
        for used in _names(function.__code__):
            if function.__module__ == module and used in function.__globals__:
                _visit(used, function.__globals__[used], module, seen)
        for index, cell in enumerate(function.__closure__ or ()):
            _visit(f"{name}.closure{index}", cell.cell_contents, module, seen)


def _functions(value: Any) -> Iterator[types.FunctionType]:
    """Yield the functions of a function, method or property."""
    if isinstance(value, property):
        accessors: tuple[Any, ...] = (value.fget, value.fset, value.fdel)
    else:
        accessors = (getattr(value, "__wrapped__", getattr(value, "__func__", value)),)
    for each in accessors:
        if isinstance(each, types.FunctionType):
            yield each


def _is_plain(value: Any) -> bool:
    if isinstance(value, (tuple, list, set, frozenset)):
        return all(_is_plain(item) for item in value)
    if isinstance(value, dict):
        return all(_is_plain(item) for pair in value.items() for item in pair)
    return isinstance(value, _PLAIN)


def _texts(code: types.CodeType, documentation: str | None) -> Iterator[str]:
    """Yield bytecode, names and constants of a function, with the functions in it."""
    yield code.co_code.hex()
    yield repr((code.co_names, code.co_varnames, code.co_freevars))
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _texts(constant, None)
        elif constant != documentation or documentation is None:
            yield repr(sorted(constant, key=repr) if isinstance(constant, frozenset) else constant)


def _names(code: types.CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _names(constant)
