"""Reading of very many results: from the results store of a home, and from a shared MLflow store.

The records are synthetic, since to compute as many would take months::

    python benchmarks/many_runs.py --records 10000 --mirrored 2000

Timed are the first and a later reading of the table, of the ids (as a run does that is answered
from the store), and the command `harmbench leaderboard`.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from harmbench.store.columns import TABLES, TEXTS
from harmbench.store.provenance import Provenance
from harmbench.store.record import SCHEMA, MetricValues, Record
from harmbench.store.result_table import RecordedRuns
from harmbench.store.results import ResultsStore

METRICS = ("psnr", "ssim", "wasserstein", "mae", "ncc", "dice", "hd95", "icc", "mi", "bias")
TASKS = ("sim-exp", "sim-log", "sim-bias", "domain1", "domain2", "domain3", "domain4", "wmseg")
# Number of subjects by cohort.
COHORTS = {"phantom": 5, "phantom:40": 12, "oasis3": 40, "oasis3+nyul": 40}
SETTINGS = {f"some.setting{i}": str(i) for i in range(20)}
FILES = 50


def records(count: int) -> Iterator[Record]:
    """Yield records of 20 methods on eight tasks and four cohorts, with several seeds."""
    random = np.random.default_rng(0)
    for index in range(count):
        cohort = list(COHORTS)[index % 4]
        task = TASKS[index // 4 % 8]
        method = index // 32 % 20
        label = ["identity", "oracle"][method] if method < 2 else f"method{method}"
        subjects = random.normal(20 + method, 3, (len(METRICS), COHORTS[cohort]))
        head = {
            **dict.fromkeys(TEXTS, ""),
            **{name: {} for name in TABLES},
            "method": label,
            "label": label,
            "task": task,
            "cohort": cohort,
            "cohort_key": cohort,
            "kind": "real",
            "preset": "quick",
            "split": "test",
            "status": "done",
            "cell": f"{index:020x}",
            "question": task,
            "family": "curves",
            "control": {"identity": "floor", "oracle": "ceiling"}.get(label, ""),
            "headline": "psnr,ssim,wasserstein",
            "lower_is_better": "wasserstein,mae",
            "seed": index // 640,
            "fold": 0,
            "facts": {"fit_seconds": 9.0},
            "metric_versions": dict.fromkeys(METRICS, "1"),
        }
        yield Record(
            id=f"{index:020x}",
            started=index,
            user=f"user{index % 7}",
            head=head,
            subjects=json.dumps([f"OAS3{i:04d}" for i in range(subjects.shape[1])]),
            metrics={
                name: MetricValues(
                    float(values.mean()),
                    float(values.min()),
                    float(values.max()),
                    ",".join(f"{value:.9g}" for value in values),
                )
                for name, values in zip(METRICS, subjects, strict=True)
            },
            provenance=Provenance("harmbench run", {"torch": "2"}, SETTINGS),
        )


def fill(home: Path, count: int) -> None:
    """Write a results store of `count` records, in files of about equal size."""
    folder = home / "results"
    folder.mkdir(parents=True)
    lines = [record.to_line() for record in records(count)]
    for part in range(FILES):
        (folder / f"part{part:03d}.jsonl").write_bytes(b"".join(lines[part::FILES]))


def mirror(home: Path, count: int) -> None:
    """Write `count` runs into the store in `$MLFLOW_TRACKING_URI`, with the tags of a record."""
    from harmbench.tracking.connection import connect

    client, experiment = connect(home)
    for record in records(count):
        summary = {"schema": SCHEMA, **record.head, "metrics": list(record.metrics)}
        tags = {"role": "cell", "record": record.id, "summary": json.dumps(summary)}
        tags |= {name: str(record.head[name]) for name in TEXTS} | {"subjects": record.subjects}
        for name, values in record.metrics.items():
            numbers = ",".join(map(repr, values[:3]))
            tags[f"metric.{name}"] = f"{numbers};{values.subjects}"
        run = client.create_run(experiment, tags=tags)
        client.set_terminated(run.info.run_id)


def timed(title: str, call: Callable[[], Any]) -> None:
    """Print the wall time of a call."""
    started = time.perf_counter()
    call()
    print(f"{title:42} {time.perf_counter() - started:7.2f} s", flush=True)


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=10_000)
    parser.add_argument("--mirrored", type=int, default=0)
    options = parser.parse_args()
    os.environ.pop("MLFLOW_TRACKING_URI", None)
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        fill(home, options.records)
        store = ResultsStore(home / "results")
        print(f"{options.records} records of this home")
        timed("first reading", store.table)
        timed("later reading", store.table)
        timed("ids", store.ids)
        timed("table of three metrics", lambda: RecordedRuns(store.table()).runs(METRICS[:3]))
        command = [Path(sys.executable).with_name("harmbench"), "leaderboard"]
        environment = {**os.environ, "HARMBENCH_HOME": str(home)}
        timed(
            "harmbench leaderboard",
            lambda: subprocess.run(command, env=environment, check=True, capture_output=True),
        )
        if options.mirrored:
            os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{Path(folder) / 'shared.db'}"
            mirror(home, options.mirrored)
            from harmbench.tracking import server_runs

            print(f"{options.mirrored} runs of a shared store")
            timed("first reading", lambda: server_runs.table(home))
            timed("later reading", lambda: server_runs.table(home))


if __name__ == "__main__":
    main()
