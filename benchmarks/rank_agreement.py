"""Do two boards order the methods alike? Kendall's tau between them, with its interval.

Each side is COHORT:METRIC:TASK[,TASK...]. A method's number is its mean over the tasks, of means
over the test subjects. Controls, and methods without a number on every task of both sides, are left
out. The interval is the percentile bootstrap over the test subjects of both sides, at fixed fits::

    python benchmarks/rank_agreement.py phantom:psnr:domain1,domain2 bids:brains:dice:wmseg-ixihh

Only results of one seed count (`--seed`), since methods may have run with different seeds. With
`--home`, which may be repeated, the results of several home folders are read together.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import numpy as np
import pandas as pd
import scipy.stats

from harmbench.leaderboard.measure import measures
from harmbench.statistics.subjects import decode
from harmbench.tracking import reader
from harmbench.util.home import home

RESAMPLES = 2000


def by_subject(cells: pd.DataFrame, metric: str) -> pd.Series:
    """Return each subject's value, averaged over the runs (one for each fold)."""
    names = ("subjects", f"{metric}.subjects")
    by_fold = [
        pd.Series(values, index=subjects)
        for subjects, values in (
            decode(*texts) for texts in zip(*(cells[name] for name in names), strict=True)
        )
    ]
    return pd.concat(by_fold, axis=1).mean(axis=1) if by_fold else pd.Series(dtype=float)


def values_of(runs: pd.DataFrame, side: str) -> dict[str, pd.DataFrame]:
    """Return the values of each method, subjects by tasks; more is better."""
    cohort, metric, tasks = side.rsplit(":", 2)
    sign = 1 if measures(runs)[metric].higher_is_better else -1
    runs = runs[(runs["cohort"] == cohort) & (runs["control"] == "") & (runs["status"] == "done")]
    runs = runs.drop_duplicates(["label", "task", "fold"], keep="last")
    tables = {
        str(label): pd.DataFrame(
            {
                task: sign * by_subject(cells[cells["task"] == task], metric)
                for task in tasks.split(",")
            }
        )
        for label, cells in runs.groupby("label")
    }
    return {label: table for label, table in tables.items() if table.notna().any().all()}


def mean(table: pd.DataFrame) -> float:
    """Return the mean over tasks of the means over subjects."""
    return float(table.mean().mean())


def main() -> None:
    """Print both orders, tau and its 95 % interval."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("side", nargs=2, metavar="COHORT:METRIC:TASKS")
    parser.add_argument("--home", type=Path, action="append", help="default: $HARMBENCH_HOME")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    homes = options.home or [home()]
    runs = pd.concat([reader.runs(folder) for folder in homes], ignore_index=True)
    runs = runs[runs["seed"] == options.seed]
    tables = [values_of(runs, side) for side in options.side]
    common = sorted(tables[0].keys() & tables[1].keys())
    if len(common) < 3:
        parser.error(f"the two sides share {len(common)} methods with numbers; tau needs three")
    sides = [[table[label] for label in common] for table in tables]
    generator = np.random.default_rng(0)
    samples = []
    for _ in range(RESAMPLES):
        drawn = []
        for side in sides:
            rows = generator.choice(side[0].index, len(side[0]))
            drawn.append([mean(table.reindex(rows)) for table in side])
        samples.append(scipy.stats.kendalltau(*drawn).statistic)
    for text, side in zip(options.side, sides, strict=True):
        ordered = sorted(zip(common, map(mean, side), strict=True), key=lambda item: -item[1])
        print(f"{text}: " + " > ".join(f"{label} {value:.4g}" for label, value in ordered))
    tau = scipy.stats.kendalltau(*([mean(table) for table in side] for side in sides)).statistic
    low, high = np.nanpercentile(samples, [2.5, 97.5])
    pairs = math.comb(len(common), 2)
    print(f"tau = {tau:.2f} [{low:.2f}, {high:.2f}] over {pairs} pairs of methods")


if __name__ == "__main__":
    main()
