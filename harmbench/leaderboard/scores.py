"""Scores of methods on tasks, computed from recorded runs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from harmbench.leaderboard.board import Measure, Score
from harmbench.statistics.estimate import Array, Estimate, mean_intervals
from harmbench.statistics.hypothesis import nan_mean
from harmbench.statistics.ranking import tiers
from harmbench.statistics.subjects import SubjectValues, decode

_SEVERITY = ("done", "skipped", "diverged", "failed")


@dataclass(frozen=True, kw_only=True)
class RunScore:
    """One recorded run's values of one metric."""

    label: str
    seed: int
    status: str
    reason: str
    run_id: str
    flags: Mapping[str, str]
    environment: Mapping[str, str]
    estimate: Sequence[float]
    names: tuple[str, ...]
    values: Array


def run_scores(runs: pd.DataFrame, metric: str) -> dict[str, dict[str, list[RunScore]]]:
    """Return the values of a metric of all runs, by task and label."""
    scores: dict[str, dict[str, list[RunScore]]] = {}
    names = ["task", "label", "seed", "status", "reason", "run_id", "flags"]
    names += ["environment", "subjects"]
    names += [f"{metric}.subjects", metric, f"{metric}.low", f"{metric}.high"]
    columns = (runs[name].tolist() for name in names)
    for (
        task,
        label,
        seed,
        status,
        reason,
        run_id,
        flags,
        environment,
        subjects,
        values,
        *rest,
    ) in zip(*columns, strict=True):
        subject_names, numbers = decode(subjects, values)
        run = RunScore(
            label=label,
            seed=seed,
            status=status,
            reason=reason,
            run_id=run_id,
            flags=flags,
            environment=environment,
            estimate=rest,
            names=subject_names,
            values=numbers,
        )
        scores.setdefault(task, {}).setdefault(label, []).append(run)
    return scores


def scores_of_task(
    by_label: Mapping[str, Sequence[RunScore]], measure: Measure, controls: Mapping[str, str]
) -> tuple[dict[str, Score], SubjectValues]:
    """Return one task's scores by label, and the values by subject behind them.

    Parameters
    ----------
    by_label
        Runs of every method.
    measure
        The metric.
    controls
        `"floor"`, `"ceiling"` or empty, by label.
    """
    subjects, values = _subject_values(by_label)
    ranked = [k for k, label in enumerate(subjects.labels) if not controls[label]]
    in_tiers = tiers(values[..., ranked], higher_is_better=measure.higher_is_better)
    placed = dict(zip([subjects.labels[k] for k in ranked], in_tiers, strict=True))
    estimates = dict(zip(subjects.labels, mean_intervals(subjects.values), strict=True))
    scores = {
        label: _score(
            sorted(runs, key=lambda run: run.seed),
            estimates.get(label),
            subjects,
            *placed.get(label, (None, math.nan)),
        )
        for label, runs in by_label.items()
    }
    return scores, subjects


def _subject_values(
    by_label: Mapping[str, Sequence[RunScore]],
) -> tuple[SubjectValues, Array]:
    """Return values by subject: averaged over seeds, and as `(seeds, subjects, labels)`.

    Without methods that have a failed seed or no values by subject: they cannot be tested.
    """
    labels = [
        label
        for label, runs in by_label.items()
        if all(run.status == "done" and run.names for run in runs)
    ]
    runs = [run for label in labels for run in by_label[label]]
    names = tuple(sorted({name for run_names in {run.names for run in runs} for name in run_names}))
    seeds = sorted({run.seed for run in runs})
    index = {name: row for row, name in enumerate(names)}
    values = np.full((len(seeds), len(names), len(labels)), math.nan)
    for k, label in enumerate(labels):
        for run in by_label[label]:
            rows = slice(None) if run.names == names else [index[name] for name in run.names]
            values[seeds.index(run.seed), rows, k] = run.values
    return SubjectValues(names, tuple(labels), nan_mean(values)), values


def _score(
    runs: Sequence[RunScore],
    estimate: Estimate | None,
    subjects: SubjectValues,
    tier: int | None,
    p: float,
) -> Score:
    worst = max(runs, key=lambda run: _SEVERITY.index(run.status))
    by_seed: dict[int, float] = {}
    if worst.status != "done":
        estimate = Estimate(math.nan, math.nan, math.nan, 0)
    else:
        by_seed = {run.seed: run.estimate[0] for run in runs}
        if estimate is None:
            # NaN if any seed has no number: a mean over the other seeds would flatter.
            value, low, high = np.mean([run.estimate for run in runs], axis=0).tolist()
            estimate = Estimate(value, low, high, 0)
    return Score(
        value=estimate.mean,
        low=estimate.low,
        high=estimate.high,
        n=estimate.n,
        by_seed=by_seed,
        status=worst.status,
        reason=worst.reason,
        tier=tier,
        p=p,
        flags={scan: flag for run in runs for scan, flag in run.flags.items()},
        environments=tuple(run.environment for run in runs),
        runs={run.seed: run.run_id for run in runs},
        label=runs[0].label,
        subject_values=subjects,
    )
