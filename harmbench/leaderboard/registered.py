"""Properties of metrics and columns of boards that registered plugins supply."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from harmbench.errors import UserError
from harmbench.plugins import Registry, matching


def units(registry: Registry) -> dict[str, str]:
    """Return the units of the registered metrics, by name."""
    return _attribute(registry, "unit")


def summaries(registry: Registry) -> dict[str, str]:
    """Return the summaries of the registered metrics, by name."""
    return _attribute(registry, "summary")


def _attribute(registry: Registry, attribute: str) -> dict[str, str]:
    return {
        name: entry.attributes()[attribute] for name, entry in registry.entries("metrics").items()
    }


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
