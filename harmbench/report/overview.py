"""The overview of the front page: which method is best for what, how certain, and at which cost."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from harmbench.execution.plan.durations import duration
from harmbench.leaderboard.families import FamilyComparison, needed
from harmbench.leaderboard.formatting import count, interval, number, rank_in_words
from harmbench.leaderboard.groups import Group
from harmbench.leaderboard.notes import standings_notes
from harmbench.leaderboard.standings import Standing, Standings
from harmbench.report.biology_plot import BiologyPoint, biology_points
from harmbench.report.board_view import Extra
from harmbench.report.costs import prices_of
from harmbench.report.fields import TableField, colour_scale, estimate_field, sort_key
from harmbench.statistics.max_t import LEVEL

# Rows of the front page, so that it opens at once on a phone; the group's page has all.
_FRONT_RANKED = 30
# With more families than this, an interval is below its number, not next to it.
_WIDE_FAMILIES = 4
# Methods and tasks that an answer names; it counts more of them.
_MOST_NAMES = 4
# Needs that few users can meet, in words.
_DEMANDING = {"paired": "needs pairs", "sites": "needs all sites"}
_COSTS = (("fit_seconds", "fit"), ("harmonize_seconds_per_scan", "per scan"))


def overview(
    group: Group, standings: Standings, needs: Mapping[str, str], extra: Extra, *, front: bool
) -> dict[str, Any]:
    """Lay out an answer for each family of tasks, and the table of ranked methods.

    Parameters
    ----------
    group, standings
        The boards and the ranking over families.
    needs
        The data that each method needs, by its name.
    extra
        Columns of plugins.
    front
        Whether the page is the front page, which shows the first rows alone.
    """
    rows = standings.rows[:_FRONT_RANKED] if front else standings.rows
    points = {point.label: point for point in biology_points(group.boards)}
    left_out = ""
    if len(rows) < len(standings.rows):
        left_out = f"The {len(rows)} best of {len(standings.rows)} methods."
    fields = {
        **_ranks(rows),
        **_gains(standings, rows),
        **_biology(points, rows),
        **_costs(group, rows),
        "tasks": [
            TableField(text=f"{row.rank.n}/{len(standings.columns)}", sort=str(row.rank.n))
            for row in rows
        ],
        "needs": [TableField(text=needs.get(row.method, "")) for row in rows],
        **{
            heading: [TableField(text=texts.get(row.label, "")) for row in rows]
            for heading, texts in extra.items()
        },
    }
    return {
        "id": "b-standings",
        "metric": "Ranking",
        "direction": _meaning(standings),
        "answers": list(_answers(standings, needs)),
        "floor": standings.floor or "",
        "coloured": standings.floor is not None,
        "overview": True,
        "wide": len(standings.families) <= _WIDE_FAMILIES,
        "biology": bool(points),
        "columns": [
            {"name": name, "better": _better(name, standings, extra), "task": False}
            for name in fields
        ],
        "rows": list(_lines(rows, fields)),
        "left_out": left_out,
        "whole": f"{group.slug}/index.html",
        "notes": standings_notes(standings),
    }


def _meaning(standings: Standings) -> str:
    """Return what the numbers of the ranking are, with the unit of the gains."""
    families = map(standings.compared, standings.families)
    gains = any(family is not None and family.standard_gain for family in families)
    unit = f"; gains in standard deviations of {standings.floor} between subjects"
    return f"mean rank over families of tasks, each with one vote{unit if gains else ''}"


def _lines(
    rows: Sequence[Standing], fields: Mapping[str, Sequence[TableField]]
) -> Iterator[dict[str, Any]]:
    """Yield the line of each method, with its field of each column."""
    for k, row in enumerate(rows):
        yield {
            "label": row.label,
            "control": "",
            "submitted": bool(row.submission),
            "imported": bool(row.bundles),
            "cells": [column[k] for column in fields.values()],
        }


def _better(name: str, standings: Standings, extra: Extra) -> str:
    """Return the direction of a column; empty for one of texts."""
    if name == "needs" or name in extra:
        return ""
    return "up" if name in (*standings.families, "biology kept", "tasks") else "down"


def _ranks(rows: Sequence[Standing]) -> dict[str, list[TableField]]:
    return {"rank": [estimate_field(row.rank, 1) for row in rows]}


def _gains(standings: Standings, rows: Sequence[Standing]) -> dict[str, list[TableField]]:
    """Return a column for each family: the standardised gain, or the rank without one."""
    fields = {}
    for name in standings.families:
        family = standings.compared(name)
        gains = {} if family is None else family.standard_gain
        scale = colour_scale((gain.mean for gain in gains.values()), 0.0)
        fields[name] = [
            estimate_field(
                gains[row.label], 1, signed=True, letters=_letters(family, row.label), scale=scale
            )
            if row.label in gains
            else TableField(
                text=rank_in_words(row.family_ranks[name]), letters=_letters(family, row.label)
            )
            for row in rows
        ]
    return fields


def _letters(family: FamilyComparison | None, label: str) -> str:
    return "" if family is None else family.letters.get(label, "")


def _biology(
    points: Mapping[str, BiologyPoint], rows: Sequence[Standing]
) -> dict[str, list[TableField]]:
    """Return the columns of the remaining scanner effect and of the preserved biology."""
    if not points:
        return {}
    known = [points.get(row.label) for row in rows]
    return {
        "scanner effect": [_plain(math.nan if p is None else p.effect) for p in known],
        "biology kept": [_plain(math.nan if p is None else p.preserved) for p in known],
    }


def _plain(value: float) -> TableField:
    return (
        TableField() if math.isnan(value) else TableField(text=f"{value:.2f}", sort=sort_key(value))
    )


def _costs(group: Group, rows: Sequence[Standing]) -> dict[str, list[TableField]]:
    """Return the columns of the costs, of methods with any."""
    prices = prices_of(group.runs)
    return {
        heading: [_seconds(prices.get(column, {}).get(row.label, math.nan)) for row in rows]
        for column, heading in _COSTS
    }


def _seconds(value: float) -> TableField:
    if math.isnan(value):
        return TableField()
    text = "0 s" if value == 0 else f"{value:.2g} s" if value < 10 else duration(value)
    return TableField(text=text, sort=sort_key(value))


def _answers(standings: Standings, needs: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """Lay out the best methods of each family, their gain, and how certain they are."""
    methods = {row.label: row.method for row in standings.rows}
    for name in standings.families:
        family = standings.compared(name)
        if family is None or len(family.labels) < 2:
            ranks = {row.label: row.family_ranks[name] for row in standings.rows}
            lowest = min(ranks.values())  # NaN for an only method
            best = [label for label, rank in ranks.items() if not rank > lowest]
            # A single method is not tested against others, but its gain over the floor is known.
            gain = "" if family is None else _gain(standings, family, best)
            certainty = "not tested: values by subject of two methods are needed"
        else:
            best = _best(family)
            gain, certainty = _gain(standings, family, best), _certainty(standings, family, best)
        yield {
            "family": name,
            "tasks": _few([column.task for column in standings.columns if column.family == name]),
            "best": _few([_with_needs(label, needs.get(methods[label], "")) for label in best]),
            "gain": gain,
            "certainty": certainty,
        }


def _with_needs(label: str, needs: str) -> str:
    """Return a method's name, with the data that few users have."""
    return f"{label} ({_DEMANDING[needs]})" if needs in _DEMANDING else label


def _best(family: FamilyComparison) -> list[str]:
    """Return the method with the best mean, and those that do not differ from it significantly."""
    order = np.argsort(-family.difference.mean(axis=1))
    first = order[0]
    return [family.labels[k] for k in order if k == first or not family.p[first, k] <= LEVEL]


def _gain(standings: Standings, family: FamilyComparison, best: Sequence[str]) -> str:
    """Return the gain of the best method over the floor, in the metric's unit if it has one."""
    measure = family.columns[0].measure
    if best[0] in family.gain:
        gain, unit, decimals = family.gain[best[0]], measure.unit or measure.name, measure.decimals
    elif best[0] in family.standard_gain:
        gain, unit, decimals = family.standard_gain[best[0]], "standard deviations", 1
    else:
        return ""
    value = number(gain.mean, decimals, signed=True)
    bounds = interval(gain.low, gain.high, decimals, signed=True)
    who = f"{best[0]}: " if len(best) > 1 else ""
    return f"{who}{value} {unit} {bounds} against {standings.floor}"


def _certainty(standings: Standings, family: FamilyComparison, best: Sequence[str]) -> str:
    """Say which methods the best one differs from significantly."""
    subjects = count(int(family.n.max()), "subject")
    others, worse = len(family.labels) - 1, len(family.labels) - len(best)
    if worse:
        ties = f", not than {_few(best[1:])}" if len(best) > 1 else ""
        better = f"significantly better than {worse} of {count(others, 'other method')}"
        return f"{better}{ties}; {subjects}"
    forecast = needed(standings.comparison, family)
    more = "" if forecast is None else f"; about {forecast} would resolve {family.relevant_words}"
    return f"no significant difference with {subjects}{more}"


def _few(names: Sequence[str]) -> str:
    if len(names) <= _MOST_NAMES:
        return ", ".join(names)
    shown = _MOST_NAMES - 1
    return f"{', '.join(names[:shown])} and {len(names) - shown} more"
