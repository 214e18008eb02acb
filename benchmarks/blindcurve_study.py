"""Study of `blindcurve`: its parts, its augmentation, the number of subjects, and its flags.

The cohort must be prepared by `harmbench run` or `harmbench data prepare`::

    python benchmarks/blindcurve_study.py ~/.harmbench/cohorts/phantom-quick-... --parts
    python benchmarks/blindcurve_study.py FOLDER --subjects 2 5 0 --seeds 0 1 2
    python benchmarks/blindcurve_study.py FOLDER --disturbances
    python benchmarks/blindcurve_study.py FOLDER --guard

Tables are printed as Markdown: mean PSNR in dB over the test subjects, and that of the worst
subject. See docs/blindcurve.md for results.
"""

from __future__ import annotations

import argparse
import copy
import dataclasses
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from harmbench import Cohort, FitData, Scans, ScanSet, Task
from harmbench.contracts.fit_progress import FitProgress
from harmbench.metrics.image import PSNR
from harmbench.plugins import Registry
from harmbench_methods.blindcurve.config import BlindCurveConfig
from harmbench_methods.blindcurve.method import BlindCurve

TASKS = ("sim-exp", "sim-gamma0.7", "sim-bias", "domain1", "domain2", "domain3", "domain4")
PARTS: Mapping[str, Mapping[str, Any]] = {
    "anchor alone": {"field": False, "curve": False},
    "curve alone": {"field": False},
    "field alone": {"curve": False},
    "both": {},
    "both, one iteration of the curve": {"curve_iterations": 1},
    "both, no shrinkage of the curve": {"caution": 0.0},
    "both, all of a natural field kept": {"natural": 0.0},
    "both, no field taken as natural": {"natural": 1.0},
}
DISTURBANCES: Mapping[str, Mapping[str, Any]] = {
    "default": {},
    "fields without curves": {"curve_power": 0.0, "curve_concentration": 1e6},
    "fields half as strong": {"field_strength": 1.25},
    "no noise and no blur": {"noise": 0.0, "blur": 0.0},
    "whole scans only": {"partial": 0.0},
}


def tasks_of(cohort: Cohort) -> list[Task]:
    """Return the tasks that have references in this cohort."""
    registry = Registry.discover()
    names = [name for name in TASKS if not name.startswith("domain") or name in cohort.sources]
    return [registry.entry("tasks", name, cohort.sources).build() for name in names]


def fitted(data: FitData, config: BlindCurveConfig, subjects: int = 0) -> tuple[BlindCurve, float]:
    """Fit on the first subjects, or on all if 0; return the method and the duration in seconds."""
    if subjects:
        chosen = sorted(set(data.target.subjects))[:subjects]
        rows = [i for i, subject in enumerate(data.target.subjects) if subject in chosen]
        data = dataclasses.replace(data, target=data.target.subset(rows))
    method, start = BlindCurve(data.grid, config), time.perf_counter()
    method.fit(data, FitProgress())
    return method.eval(), time.perf_counter() - start


def psnr(scan: Scans, truth: Scans, target: ScanSet) -> float:
    """Return the PSNR of a scan in dB, over its foreground."""
    return PSNR().measure(scan, truth, target).item()


@torch.no_grad()
def scores(method: BlindCurve, task: Task, cohort: Cohort, seed: int) -> np.ndarray:
    """Return the PSNR of every test subject: `(subjects,)`."""
    data = task.setup(cohort, seed)
    assert data.references is not None
    by_subject: dict[str, list[float]] = {}
    for n in range(len(data.test)):
        scan, truth = data.test.load([n]), data.references.load([n])
        by_subject.setdefault(scan.subjects[0], []).append(psnr(method(scan), truth, data.target))
    return np.array([np.mean(values) for values in by_subject.values()])


def row(title: str, cells: Sequence[str]) -> None:
    """Print a row of a table."""
    print(f"| {title} | " + " | ".join(cells) + " |", flush=True)


def table(tasks: Sequence[Task], first: str) -> None:
    """Print the header of a table."""
    row(first, [task.name for task in tasks])
    row("---", ["---"] * len(tasks))


def cells(method: BlindCurve, tasks: Sequence[Task], cohort: Cohort, seed: int) -> list[str]:
    """Score a method on tasks: mean and worst subject."""
    by_task = (scores(method, task, cohort, seed) for task in tasks)
    return [f"{subjects.mean():.1f} ({subjects.min():.1f})" for subjects in by_task]


def guard_cases(scans: Scans) -> dict[str, Scans]:
    """Return the scans, and changed scans that no curve and field can harmonise."""
    images, masks = scans.images, scans.masks
    inverted = torch.where(masks, (1.05 - images).clamp(0.01, 1), 0)
    squared = torch.where(masks, (4 * images * (1 - images)).clamp(0.01, 1), 0)
    rim = _skull(masks)
    return {
        "unchanged": scans,
        "inverted, as in T2": scans.with_images(inverted),
        "middle intensities brightest": scans.with_images(squared),
        "with skull and scalp": dataclasses.replace(
            scans, images=torch.where(rim, 0.95, images), masks=masks | rim
        ),
        "empty": dataclasses.replace(
            scans, images=torch.zeros_like(images), masks=torch.zeros_like(masks)
        ),
    }


def _skull(masks: Tensor, thickness: int = 4) -> Tensor:
    """Return a bright rim around the foreground."""
    size = 2 * thickness + 1
    wide = torch.nn.functional.max_pool2d(masks.flatten(0, 1)[:, None].float(), size, 1, thickness)
    return (wide[:, 0].view(masks.shape) > 0) & ~masks


def main() -> None:
    """Print the selected tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("prepared", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--subjects", type=int, nargs="+", default=[])
    parser.add_argument("--parts", action="store_true")
    parser.add_argument("--disturbances", action="store_true")
    parser.add_argument("--guard", action="store_true")
    options = parser.parse_args()
    cohort, config = Cohort(options.prepared), BlindCurveConfig()
    tasks = tasks_of(cohort)
    for seed in options.seeds:
        data = tasks[0].setup(cohort, seed).fit_data(seed).restricted(BlindCurve.needs)
        if options.parts or options.guard:
            method, seconds = fitted(data, config)
            print(f"\nseed {seed}, fitted in {seconds:.0f} s\n")
        if options.parts:
            table(tasks, "parts")
            for title, changes in PARTS.items():
                variant = copy.deepcopy(method)
                variant.config = dataclasses.replace(config, **changes)
                row(title, cells(variant, tasks, cohort, seed))
        if options.subjects:
            table(tasks, "training subjects")
            for count in options.subjects:
                method, _ = fitted(data, config, count)
                row(str(count or "all"), cells(method, tasks, cohort, seed))
        if options.disturbances:
            table(tasks, "disturbances")
            for title, changes in DISTURBANCES.items():
                method, _ = fitted(data, dataclasses.replace(config, **changes))
                row(title, cells(method, tasks, cohort, seed))
        if options.guard:
            test = tasks[0].setup(cohort, seed).references
            assert test is not None
            scans = test.load(range(len(test)))
            for title, case in guard_cases(scans).items():
                flags = [flag for flag in method(case).flags or () if flag]
                print(f"- {title}: {len(flags)} of {len(scans)} flagged; {''.join(flags[:1])}")


if __name__ == "__main__":
    main()
