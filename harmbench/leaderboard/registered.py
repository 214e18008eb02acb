"""Properties of metrics and columns of boards that registered plugins supply."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from harmbench.errors import UserError
from harmbench.plugins import Registry, matching


def declarations(
    registry: Registry, category: str = "metrics", sources: Sequence[str] = ()
) -> dict[str, dict[str, str]]:
    """Return what the registered metrics or tasks declare, such as unit and purpose, by name.

    Empty if two plugins claim one name. Tasks depend on the names of the source domains.
    """
    try:
        entries = registry.entries(category, tuple(sources))
    except UserError:
        return {}
    return {name: entry.attributes() for name, entry in entries.items()}


def extra_columns(registry: Registry, runs: pd.DataFrame) -> dict[str, dict[str, str]]:
    """Return the columns that plugins add: texts by method, by heading."""
    extra: dict[str, dict[str, str]] = {}
    for plugin, columns in registry.call("leaderboard_columns", runs=runs):
        try:
            extra |= {
                str(heading): {str(label): str(text) for label, text in texts.items()}
                for heading, texts in columns.items()
            }
        except AttributeError:
            registry.report(
                f"plugin '{plugin.name}': leaderboard_columns must return "
                '{"heading": {"method": "text"}}'
            )
    return extra


def metrics_to_show(
    recorded: Sequence[str], headlines: Sequence[str], requested: Sequence[str]
) -> list[str]:
    """Return the requested metrics; without any, the headlines of all tasks.

    Raises
    ------
    UserError
        If nothing is recorded, or a requested metric is not.
    """
    if not recorded:
        raise UserError(
            "nothing is recorded yet; try `harmbench run -m identity -m histogram -t domain3`"
        )
    for name in requested:
        if name not in recorded:
            raise UserError.unknown("recorded metric", name, recorded)
    return list(requested) or [name for name in headlines if name in recorded] or list(recorded)


def on_cohort(runs: pd.DataFrame, name: str | None) -> pd.DataFrame:
    """Return the runs on the cohorts of a name or glob; all of them if it is None."""
    if name is None:
        return runs
    return runs[runs["cohort"].isin(matching("recorded cohort", [name], runs["cohort"].unique()))]


def with_targets(runs: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """Return the runs with the target domains of names or globs; all of them without names."""
    if not names:
        return runs
    recorded = sorted(set(runs["target"]) - {""})
    return runs[runs["target"].isin(matching("recorded target", names, recorded))]


def fitted_on(runs: pd.DataFrame, name: str | None) -> pd.DataFrame:
    """Return the runs with fits on other cohorts of a name or glob; all runs if it is None."""
    if name is None:
        return runs
    recorded = sorted(set(runs["fit_cohort"]) - {""})
    return runs[runs["fit_cohort"].isin(matching("recorded fit cohort", [name], recorded))]
