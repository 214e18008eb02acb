"""Suites: matrices of methods and tasks in TOML files."""

from __future__ import annotations

from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from harmbench.errors import UserError
from harmbench.util.toml_table import Table, read_toml

# A TOML array is a list, which becomes a tuple; the strict check of the values stays.
Texts = Annotated[tuple[str, ...], Field(strict=False)]
Numbers = Annotated[tuple[int, ...], Field(strict=False)]


class Suite(Table):
    """The keys of a suite; each has the meaning of the option of `harmbench run`.

    An empty `cohort` means that the command line must name one.
    """

    methods: Texts = ()
    tasks: Texts = ()
    targets: Texts = ()
    cohort: str = ""
    recipe: str = ""
    fit_cohort: str = ""
    fit_recipe: str = ""
    split_file: str = ""
    normalize: str = ""
    brain_extraction: str = ""
    no_brain_mask: bool = False
    n4: bool = False
    preset: str = ""
    split: str = ""
    folds: int = 0
    seeds: Numbers = ()
    set: Texts = ()


def shipped() -> list[str]:
    """Return the names of the shipped suites."""
    folder = resources.files("harmbench") / "suites"
    return sorted(path.name.removesuffix(".toml") for path in folder.iterdir())


def read_suite(name: str) -> dict[str, Any]:
    """Read a shipped suite, or a suite file.

    Parameters
    ----------
    name
        `quick`, `paper`, `travellers`, or the path of a TOML file.

    Returns
    -------
    dict
        Any of `methods`, `tasks`, `targets`, `seeds` and `set` (tuples), and `cohort`, `recipe`,
        `fit_cohort`, `fit_recipe`, `split_file`, `normalize`, `brain_extraction`,
        `no_brain_mask`, `n4`, `preset`, `split` and `folds`; paths of recipes and of a split file
        are relative to the file's folder.

    Raises
    ------
    UserError
        If there is no such suite, or a key or a value is wrong.
    """
    path: Traversable = Path(name)
    if name in shipped():
        path = resources.files("harmbench") / "suites" / f"{name}.toml"
    elif not path.is_file() and not Path(name).suffix:
        raise UserError.unknown("suite", name, shipped())
    title = f"suite '{name}'"
    suite = Suite.checked(read_toml(path, title), title).model_dump(exclude_unset=True)
    for key in ("recipe", "fit_recipe", "split_file"):
        if key in suite:
            suite[key] = Path(name).parent / suite[key]
    return suite
