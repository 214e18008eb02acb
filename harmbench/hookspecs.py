"""The hooks through which plugins reach harmbench, built-in ones included."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pluggy

from harmbench.util.lazy import Lazy

if TYPE_CHECKING:
    import click

    from harmbench.contracts.cell import Cell, CellResult
    from harmbench.util.lazy import Lazy

hookspec = pluggy.HookspecMarker("harmbench")


@hookspec
def register_methods() -> Mapping[str, str | Lazy]:  # type: ignore[empty-body]
    """Return methods: `{"name": "module:Class"}`."""


@hookspec
def register_tasks(sources: tuple[str, ...]) -> Mapping[str, str | Lazy]:  # type: ignore[empty-body]
    """Return tasks: `{"name": "module:Class"}`; `sources` names the cohort's source domains."""


@hookspec
def register_cohorts() -> Mapping[str, str | Lazy]:  # type: ignore[empty-body]
    """Return places that scans come from: `{"name": "module:Class"}`."""


@hookspec
def register_metrics() -> Mapping[str, str | Lazy]:  # type: ignore[empty-body]
    """Return metrics: `{"name": "module:Class"}`."""


@hookspec
def register_figures() -> Mapping[str, str | Lazy]:  # type: ignore[empty-body]
    """Return figures that `harmbench figure` draws: `{"name": "module:Class"}`."""


@hookspec
def register_commands(group: click.Group) -> None:
    """Add commands to the command line: `group.add_command(...)`."""


@hookspec
def before_cell(cell: Cell) -> None:
    """Called before a cell is computed; not for cells answered from the store."""


@hookspec
def after_cell(cell: Cell, result: CellResult) -> None:
    """Called when a cell has ended, whatever its status."""


@hookspec
def leaderboard_columns(runs: Any) -> Mapping[str, Mapping[str, str]]:  # type: ignore[empty-body]
    """Return extra columns: `{"heading": {"method": "text"}}`; `runs` is the table of runs."""


hookimpl = pluggy.HookimplMarker("harmbench")
