"""References to classes that are imported when they are used, and not before."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from enum import Enum, StrEnum
from typing import Any

from harmbench.errors import UserError

# Attributes that listings show.
SHOWN = (
    "summary",
    "needs",
    "covariates",
    "control",
    "unit",
    "higher_is_better",
    "purpose",
    "method",
    "reference",
)

_OWN = ("harmbench", "harmbench_methods", "harmbench_tasks")


@dataclass(frozen=True)
class Lazy:
    """A class to be imported when it is used, and what to construct it with.

    The attributes from `summary` on repeat those of the class, for listings that do not
    import it. Without a `summary`, listings import the class and read its attributes.

    Attributes
    ----------
    target
        `"module:Class"`.
    kwargs
        Keyword arguments of its constructor.
    summary
        One line for listings.
    needs, covariates, control
        Of a method: the name of its `Needs`, such as `"TARGET"`, and as on the class.
    published
        Of a method: its paper's table, `"module:TABLE"`, best in a module without torch.
    unit, higher_is_better, purpose
        Of a metric; the purpose by its value, such as `"detail"`.
    method
        Of a figure.
    reference
        Of a method, a task or a metric: DOI or address of the paper.
    sources
        Of a cohort: its source domains, if no argument changes them.
    """

    target: str
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    _: KW_ONLY
    summary: str | None = None
    needs: str | None = None
    covariates: Sequence[str] = ()
    control: str | None = None
    published: str | None = None
    unit: str = ""
    higher_is_better: bool | None = None
    purpose: str | None = None
    method: str | None = None
    reference: str | None = None
    sources: Sequence[str] = ()

    def load(self) -> Any:
        """Import the module and return the class.

        Raises
        ------
        UserError
            If the reference has not the form `"module:Class"` or names no such class.
        """
        module, separator, name = self.target.partition(":")
        if not separator:
            raise UserError(f"'{self.target}' is no reference of the form 'module:Class'")
        try:
            return getattr(_imported(module), name)
        except AttributeError:
            raise UserError(
                f"module '{module}' has no class '{name}' at its top level; a class is found by "
                f"its own name: write `{name} = ...`, or define it outside of functions"
            ) from None

    def construct(self, cls: Any, *args: Any, **kwargs: Any) -> Any:
        """Construct the loaded class with its registered arguments and the given ones."""
        return cls(*args, **{**self.kwargs, **kwargs})

    @property
    def module(self) -> str:
        """Name of the module."""
        return self.target.partition(":")[0]

    def exists(self) -> bool:
        """Whether the module is there; it is not imported."""
        try:
            return self.module in sys.modules or importlib.util.find_spec(self.module) is not None
        except (ImportError, ValueError):
            return False

    def known(self) -> Any:
        """Return the class if its module is loaded already, else its declared attributes."""
        name = self.target.partition(":")[2]
        # Not by `getattr`: a module may create its class when that is used.
        return getattr(sys.modules.get(self.module), "__dict__", {}).get(name, self)

    @property
    def declared(self) -> bool:
        """Whether listings can do without the class."""
        return self.summary is not None


@dataclass(frozen=True)
class Given(Lazy):
    """A class, or an instance of it, that exists in this process, as in a notebook.

    Attributes
    ----------
    value
        The class or the instance. An instance is returned instead of constructing another.
    """

    value: Any = field(kw_only=True)

    @classmethod
    def of(cls, value: Any) -> Given:
        """Return the reference to a class or an instance."""
        owner = value if isinstance(value, type) else type(value)
        return cls(f"{owner.__module__}:{owner.__qualname__}", value=value)

    def load(self) -> Any:
        """Return the class."""
        return self.value if isinstance(self.value, type) else type(self.value)

    def construct(self, cls: Any, *args: Any, **kwargs: Any) -> Any:
        """Return the instance, or construct the class."""
        if not isinstance(self.value, type):
            return self.value
        return super().construct(cls, *args, **kwargs)

    def exists(self) -> bool:
        """Whether the module is there: always."""
        return True

    def known(self) -> Any:
        """Return the class."""
        return self.load()


def _imported(name: str) -> Any:
    """Import a module; those that are not harmbench's own draw from a stream of their own."""
    if name in sys.modules or name.partition(".")[0] in _OWN:
        return importlib.import_module(name)
    from harmbench.util.seeds import seeded_import

    with seeded_import(name):
        return importlib.import_module(name)


def shown_attributes(source: Any) -> dict[str, str]:
    """Return the attributes that listings show, of a class or its declaration.

    Enums of text are returned by value, others by name, truth values as `"True"` or `"False"`,
    and several names with commas; attributes that are missing or nothing of these are empty.
    """
    return {name: _text(getattr(source, name, None)) for name in SHOWN}


def _text(value: Any) -> str:
    if isinstance(value, StrEnum):
        return value.value
    if isinstance(value, Enum):
        return value.name
    if isinstance(value, bool):
        return str(value)
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return value if isinstance(value, str) else ""
