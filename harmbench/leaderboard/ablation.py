"""The ablation table: the effect of each setting, next to the paper's numbers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from harmbench.contracts.cell import CellResult
from harmbench.contracts.metric import Metric
from harmbench.contracts.published import BASELINE, Published
from harmbench.execution.plan.plan import PlannedCell
from harmbench.statistics.estimate import Estimate, by_subject, mean_interval
from harmbench.statistics.value_range import UNBOUNDED, decode_ranges


@dataclass(frozen=True, kw_only=True)
class AblationScore:
    """The score of one row on one task.

    Attributes
    ----------
    value
        Over subjects, each averaged over the seeds; None where there is no number.
    difference
        To the baseline, subject by subject; None for the baseline itself.
    published, published_difference
        The paper's number, and its difference to the paper's baseline; None where it has none.
    status, reason
        Status and reason of the first seed without scores; without such a seed, of the first seed.
    """

    value: Estimate | None
    difference: Estimate | None
    published: float | None
    published_difference: float | None
    status: str
    reason: str


@dataclass(frozen=True)
class AblationTable:
    """The rows of one metric.

    Attributes
    ----------
    metric
        The metric.
    tasks
        Columns; the paper's tasks come first, in its order.
    rows
        By title: the baseline, its ablations, and the controls.
    controls
        Titles of the controls.
    """

    metric: Metric
    tasks: tuple[str, ...]
    rows: Mapping[str, Mapping[str, AblationScore]]
    controls: frozenset[str]


def tables(
    results: Iterable[tuple[PlannedCell, CellResult]],
    metrics: Sequence[Metric],
    published: Published | None,
) -> Iterator[AblationTable]:
    """Make one table per metric of the cells of a method, its ablations and controls.

    Parameters
    ----------
    results
        Every cell with its result; the method's baseline comes first.
    metrics
        Metrics to show.
    published
        The paper's table, or None.
    """
    cells: dict[str, dict[str, list[CellResult]]] = {}
    controls = set()
    for job, result in results:
        title = job.variant.title
        if job.method.control is not None:
            title = job.variant.label
            controls.add(title)
        cells.setdefault(title, {}).setdefault(job.cell.task, []).append(result)
    computed = list(dict.fromkeys(task for row in cells.values() for task in row))
    printed = () if published is None else published.tasks
    tasks = (
        *(task for task in printed if task in computed),
        *(task for task in computed if task not in printed),
    )
    for metric in metrics:
        subjects = {
            (title, task): _subjects(seeds, metric.name)
            for title, row in cells.items()
            for task, seeds in row.items()
        }
        yield AblationTable(
            metric,
            tasks,
            {
                title: {
                    task: _ablation_score(title, task, seeds, metric.name, subjects, published)
                    for task, seeds in row.items()
                }
                for title, row in cells.items()
            },
            frozenset(controls),
        )


def _worst(seeds: Sequence[CellResult]) -> CellResult:
    """Return a result without scores if there is one, so that a failed seed stays visible."""
    return next((result for result in seeds if result.scores is None), seeds[0])


def _subjects(seeds: Sequence[CellResult], metric: str) -> pd.Series | None:
    """Return every subject's mean over slices, scans and seeds; None without a number."""
    frames = [result.scores for result in seeds if result.scores is not None]
    if len(frames) < len(seeds):
        return None
    subjects = by_subject(pd.concat(frames, ignore_index=True))
    return subjects.get(metric)


def _ablation_score(
    title: str,
    task: str,
    seeds: Sequence[CellResult],
    metric: str,
    subjects: Mapping[tuple[str, str], pd.Series | None],
    published: Published | None,
) -> AblationScore:
    own, baseline = subjects[title, task], subjects.get((BASELINE, task))
    difference = None
    if own is not None and baseline is not None and title != BASELINE:
        with np.errstate(invalid="ignore"):
            difference = mean_interval((own - baseline).to_numpy())
    printed = gap = None
    if published is not None:
        printed = published.value(metric, title, task)
        reference = published.value(metric, BASELINE, task)
        if printed is not None and reference is not None and title != BASELINE:
            gap = round(printed - reference, 6)
    worst = _worst(seeds)
    ranges = decode_ranges(str(worst.facts.get("ranges", "")))
    values = ranges.get(metric, UNBOUNDED)
    return AblationScore(
        value=None if own is None else values.interval(mean_interval(own.to_numpy())),
        difference=difference,
        published=printed,
        published_difference=gap,
        status="done" if worst.status.value == "cached" else worst.status.value,
        reason=worst.reason,
    )


def tidy(table: AblationTable) -> pd.DataFrame:
    """Return a tidy table with one row for every title and task, for export."""

    def parts(name: str, estimate: Estimate | None) -> dict[str, float | None]:
        names = (name, f"{name}_low", f"{name}_high")
        if estimate is None:
            return dict.fromkeys(names)
        return dict(zip(names, (estimate.mean, estimate.low, estimate.high), strict=True))

    return pd.DataFrame(
        [
            {
                "metric": table.metric.name,
                "row": title,
                "control": title in table.controls,
                "task": task,
                **parts("value", score.value),
                **parts("difference", score.difference),
                "subjects": None if score.value is None else score.value.n,
                "published": score.published,
                "published_difference": score.published_difference,
                "status": score.status,
                "reason": score.reason,
            }
            for title, row in table.rows.items()
            for task, score in row.items()
        ]
    )
