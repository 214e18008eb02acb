"""Recorded values of one metric, run by run, and what is missing of them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from harmbench.statistics.estimate import Array
from harmbench.statistics.subjects import decode
from harmbench.util.name_list import first_names

_SHOWN = 3  # missing images named in a reason


@dataclass(frozen=True, kw_only=True)
class Run:
    """One recorded run's values of one metric.

    `missing` has the test scans without a value by "subject/session", with the reason: no image in
    a submission (an empty reason), or a command that failed.
    """

    label: str
    seed: int
    fold: int
    status: str
    reason: str
    run_id: str
    flags: Mapping[str, str]
    environment: Mapping[str, str]
    code: str
    missing: Mapping[str, str]
    estimate: Sequence[float]
    names: tuple[str, ...]
    values: Array
    draws: str


def fold_count(split: str) -> int:
    """Return the number of folds of a split's name; 0 without folds.

    Examples
    --------
    >>> fold_count("5 folds"), fold_count("test")
    (5, 0)
    """
    match = re.fullmatch(r"(\d+) folds", split)
    return int(match[1]) if match else 0


def runs_by_task(runs: pd.DataFrame, metric: str) -> dict[str, dict[str, list[Run]]]:
    """Return the values of a metric of all runs, by task and label."""
    by_task: dict[str, dict[str, list[Run]]] = {}
    names = ["task", "label", "seed", "fold", "status", "reason", "run_id", "flags"]
    names += ["environment", "code", "submission", "missing", "draws"]
    names += ["subjects", f"{metric}.subjects", metric, f"{metric}.low", f"{metric}.high"]
    rows: Iterator[tuple[Any, ...]] = zip(*(runs[name].tolist() for name in names), strict=True)
    for task, label, seed, fold, status, reason, run_id, flags, environment, code, *rest in rows:
        submission, missing, draws, subjects, values, *estimate = rest
        subject_names, numbers = decode(subjects, values)
        run = Run(
            label=label,
            seed=int(seed),
            fold=int(fold),
            status=status,
            reason=reason,
            run_id=run_id,
            flags=flags,
            environment=environment,
            code=code,
            missing=dict.fromkeys(submission.get("missing", ()), "") | missing,
            estimate=estimate,
            names=subject_names,
            values=numbers,
            draws=draws.get(metric, ""),
        )
        by_task.setdefault(task, {}).setdefault(label, []).append(run)
    return by_task


def missing_folds_of(runs: Sequence[Run], n_folds: int) -> str:
    """Return which folds of a seed were not run, in words; empty if none is missing."""
    for seed in sorted({run.seed for run in runs}):
        present = {run.fold for run in runs if run.seed == seed}
        missing = [str(fold) for fold in range(1, n_folds + 1) if fold not in present]
        if missing:
            return f"fold {', '.join(missing)} of {n_folds} of seed {seed} was not run"
    return ""


def without_empty_folds(by_label: Mapping[str, Sequence[Run]]) -> Mapping[str, Sequence[Run]]:
    """Return the runs without the folds that every method skips: they have no test subject.

    If every method skips every fold, all runs.
    """
    kept = {
        (run.seed, run.fold)
        for runs in by_label.values()
        for run in runs
        if run.status != "skipped" or run.missing  # missing images are of test subjects
    }
    if not kept:
        return by_label
    # A method that skips all of the others keeps its runs, and with them the reason.
    return {
        label: [run for run in runs if (run.seed, run.fold) in kept] or runs
        for label, runs in by_label.items()
    }


def missing_images(missing: Mapping[str, str]) -> str:
    """Return which test scans have no image, in words, with the first reason if there is one."""
    name, reason = next(((name, reason) for name, reason in missing.items() if reason), ("", ""))
    why = f" ({name}: {reason})" if reason else ""
    return f"no image of {first_names([*missing], _SHOWN)}{why}"
