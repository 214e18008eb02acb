"""A results store of many records: to compute them would take months."""

from __future__ import annotations

import numpy as np

from harmbench.store.columns import TABLES, TEXTS
from harmbench.store.provenance import Provenance
from harmbench.store.record import MetricValues, Record

METRICS = ("psnr", "ssim", "wasserstein", "mae", "ncc", "dice", "hd95", "icc", "mi", "bias")
TASKS = ("sim-exp", "sim-log", "sim-bias", "domain1", "domain2", "domain3", "domain4", "wmseg")
COHORTS = {"phantom": 5, "phantom:40": 12, "oasis3": 40, "oasis3+nyul": 40}
SETTINGS = {f"some.setting{i}": str(i) for i in range(20)}


def records(count):
    """Yield records of 20 methods on eight tasks and four cohorts, with several seeds."""
    random = np.random.default_rng(0)
    for index in range(count):
        cohort = list(COHORTS)[index % 4]
        task = TASKS[index // 4 % 8]
        method = index // 32 % 20
        label = ["identity", "oracle"][method] if method < 2 else f"method{method}"
        subjects = random.normal(20 + method, 3, (len(METRICS), COHORTS[cohort]))
        head = {
            **dict.fromkeys(TEXTS, ""), **{name: {} for name in TABLES},
            "method": label, "label": label, "task": task, "cohort": cohort, "cohort_key": cohort,
            "kind": "real", "preset": "quick", "split": "test", "status": "done",
            "cell": f"{index:020x}", "question": task, "family": "curves",
            "control": {"identity": "floor", "oracle": "ceiling"}.get(label, ""),
            "headline": "psnr,ssim,wasserstein", "lower_is_better": "wasserstein,mae",
            "seed": index // 640, "fold": 0, "facts": {"fit_seconds": 9.0},
            "metric_versions": dict.fromkeys(METRICS, "1"),
        }  # fmt: skip
        yield Record(
            id=f"{index:020x}",
            started=index,
            user=f"user{index % 7}",
            head=head,
            subjects=str([f"OAS3{i:04d}" for i in range(subjects.shape[1])]).replace("'", '"'),
            metrics={
                name: MetricValues(
                    values.mean(), values.min(), values.max(),
                    ",".join(f"{value:.9g}" for value in values),
                )
                for name, values in zip(METRICS, subjects, strict=True)
            },
            provenance=Provenance("harmbench run", {"torch": "2"}, SETTINGS),
        )  # fmt: skip


def fill(home, count, files=50):
    """Write a results store of as many records, in files of equal size."""
    folder = home / "results"
    folder.mkdir(parents=True)
    lines = [record.to_line() for record in records(count)]
    for part in range(files):
        (folder / f"part{part:03d}.jsonl").write_bytes(b"".join(lines[part::files]))
