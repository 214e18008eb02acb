"""The ablation table: what each setting is worth, beside what the paper says."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from harmbench.contracts.cell import CellResult
from harmbench.contracts.metric import Metric
from harmbench.contracts.published import BASELINE, Published
from harmbench.execution.plan.plan import PlannedCell
from harmbench.statistics.estimate import Estimate, bootstrap, by_subject


@dataclass(frozen=True)
class Field:
    """One row's result on one task.

    Attributes
    ----------
    value
        Over subjects, each averaged over the seeds; None where there is no number.
    difference
        To the baseline, subject by subject; None for the baseline itself.
    published, published_difference
        The paper's number, and its difference to the paper's baseline; None where it has none.
    status, reason
        How the cell ended, the worst of the seeds, and why there is no number.
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
        What was measured.
    tasks
        Columns; those that the paper has come first, in its order.
    rows
        By title: the baseline, its ablations, and then the controls, for scale.
    controls
        Titles of the controls.
    """

    metric: Metric
    tasks: tuple[str, ...]
    rows: Mapping[str, Mapping[str, Field]]
    controls: frozenset[str]


def tables(
    results: Iterable[tuple[PlannedCell, CellResult]],
    metrics: Sequence[Metric],
    published: Published | None,
) -> Iterator[AblationTable]:
    """Lay the cells of a method, its ablations and controls out, one table a metric.

    Parameters
    ----------
    results
        Every cell with its result, the method's baseline first.
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
    found = list(dict.fromkeys(task for row in cells.values() for task in row))
    printed = () if published is None else published.tasks
    tasks = (
        *(task for task in printed if task in found),
        *(task for task in found if task not in printed),
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
                    task: _field(title, task, seeds, metric.name, subjects, published)
                    for task, seeds in row.items()
                }
                for title, row in cells.items()
            },
            frozenset(controls),
        )


def _worst(seeds: Sequence[CellResult]) -> CellResult:
    """Return a result without scores, if there is one: it never hides behind a good one."""
    return next((result for result in seeds if result.scores is None), seeds[0])


def _subjects(seeds: Sequence[CellResult], metric: str) -> pd.Series | None:
    """Return every subject's mean over slices, scans and seeds; None without a number."""
    frames = [result.scores for result in seeds if result.scores is not None]
    if len(frames) < len(seeds):
        return None
    subjects = by_subject(pd.concat(frames, ignore_index=True))
    return subjects.get(metric)


def _field(
    title: str,
    task: str,
    seeds: Sequence[CellResult],
    metric: str,
    subjects: Mapping[tuple[str, str], pd.Series | None],
    published: Published | None,
) -> Field:
    own, baseline = subjects[title, task], subjects.get((BASELINE, task))
    difference = None
    if own is not None and baseline is not None and title != BASELINE:
        with np.errstate(invalid="ignore"):
            difference = bootstrap((own - baseline).to_numpy())
    printed = gap = None
    if published is not None:
        printed = published.value(metric, title, task)
        reference = published.value(metric, BASELINE, task)
        if printed is not None and reference is not None and title != BASELINE:
            gap = round(printed - reference, 6)
    worst = _worst(seeds)
    return Field(
        value=None if own is None else bootstrap(own.to_numpy()),
        difference=difference,
        published=printed,
        published_difference=gap,
        status="done" if worst.status.value == "cached" else worst.status.value,
        reason=worst.reason,
    )


def tidy(table: AblationTable) -> pd.DataFrame:
    """Lay a table out with one row for every title and task, for export."""

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
                **parts("value", field.value),
                **parts("difference", field.difference),
                "people": None if field.value is None else field.value.n,
                "published": field.published,
                "published_difference": field.published_difference,
                "status": field.status,
                "reason": field.reason,
            }
            for title, row in table.rows.items()
            for task, field in row.items()
        ]
    )
