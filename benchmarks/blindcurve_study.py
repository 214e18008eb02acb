"""Development study of `blindcurve`: its parts, settings, number of subjects, and flags.

It uses development data only: two thirds of the subjects of each site of a real cohort, or all
subjects of the phantom but those of the test split, in three inner folds. The cohort must be
prepared by `harmbench run` or `harmbench data prepare`::

    python benchmarks/blindcurve_study.py ~/.harmbench/cohorts/phantom-quick-... --parts
    python benchmarks/blindcurve_study.py FOLDER --target oasis1 --folds 1 2 --parts --source ixihh
    python benchmarks/blindcurve_study.py FOLDER --subjects 2 5 0 --guard
    python benchmarks/blindcurve_study.py FOLDER --settings likelihood_slices=8 curve_bins=6

Tables are printed as Markdown: mean PSNR in dB over the subjects of the inner folds, and that of
the worst subject; with `--source`, also the Dice of white matter on a real source, in per cent. See
docs/blindcurve.md for results.
"""

from __future__ import annotations

import argparse
import copy
import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from harmbench import Cohort, FitData, Scans, ScanSet, Task
from harmbench.contracts.fit_progress import FitProgress
from harmbench.contracts.model import fit_settings
from harmbench.execution.plan.settings import apply, parse
from harmbench.metrics.image import PSNR
from harmbench.plugins import Registry
from harmbench.util.seeds import seeded
from harmbench_methods.blindcurve.config import ABLATIONS, PRESETS, BlindCurveConfig
from harmbench_methods.blindcurve.method import BlindCurve
from harmbench_tasks.deformation import LabelledScan
from harmbench_tasks.enlarged_ventricles import EnlargedVentricles, ventricles
from harmbench_tasks.segmenter import WHITE, Segmenter
from harmbench_tasks.simulated import FormulaCurve

T = TypeVar("T")
TASKS = ("sim-exp", "sim-bias", "sim-scanner", "domain1", "domain2", "domain3", "domain4")
VENTRICLES = (70.0, 140.0)  # ml
INNER_FOLDS = 3
SEALED = 3  # of each site of a real cohort, every third subject is left out
PARTS: Mapping[str, Mapping[str, Any]] = {
    "the method": {},
    "match of quantiles alone": {"n4": False, "likely_field": False, "curve": False},
    **{
        name: changes
        for name, changes in ABLATIONS.items()
        if fit_settings(BlindCurveConfig(**changes)) == fit_settings(BlindCurveConfig())
    },
}
_UNCHANGED = 60.0  # dB, given to a scan of the target that is returned as it is


def development(directory: Path, target: str | None, fold: int) -> Cohort:
    """Open a prepared cohort without its sealed subjects; the test subjects are an inner fold's.

    Every site is dealt out by itself, the phantom as a whole, since its subjects are on all.
    """
    cohort = Cohort(directory)
    table = cohort.table
    if target is not None:
        sites = [cohort.target, *cohort.sources]
        cohort.target, cohort.sources = target, tuple(name for name in sites if name != target)
    if cohort.kind == "real":
        groups = [sorted(set(part)) for _, part in table.groupby("domain")["subject"]]
        groups = [[s for i, s in enumerate(part) if i % SEALED != SEALED - 1] for part in groups]
    else:
        groups = [sorted(set(table.loc[table["split"] != "test", "subject"]))]
    splits = {
        subject: "test"
        if i % INNER_FOLDS == fold - 1
        else "validation"
        if i % 6 == fold
        else "train"
        for part in groups
        for i, subject in enumerate(part)
    }
    table = table[table["subject"].isin(list(splits))]
    return cohort.with_splits(table.assign(split=table["subject"].map(splits)), "test")


def data_of(cohort: Cohort, seed: int) -> FitData:
    """Return all training scans of the target; the tasks would divide so few subjects in two."""
    train, validation = (cohort.scans(cohort.target, split) for split in ("train", "validation"))
    return FitData(target=train, validation=validation, seed=seed)


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
    for attribute, (part, settings) in method.parts(config).items():
        built = part(data.grid, settings)
        built.fit(data, FitProgress())
        getattr(method, attribute).load_state_dict(built.state_dict())
    method.fit(data, FitProgress())
    return method.eval(), time.perf_counter() - start


def psnr(scan: Scans, truth: Scans, target: ScanSet) -> float:
    """Return the PSNR of a scan in dB, over its foreground."""
    return PSNR().measure(scan, truth, target).item()


@cache
@torch.enable_grad()
def segmenter_of(cohort: Cohort, seed: int) -> Segmenter:
    """Train the downstream network on the labelled training scans of the target."""
    train, validation = (
        cohort.scans(cohort.target, split, labelled=True) for split in ("train", "validation")
    )
    with seeded(seed, "segmenter"):
        segmenter = Segmenter(cohort.grid, Segmenter.preset("quick"))
        segmenter.fit(FitData(target=train, validation=validation, seed=seed), FitProgress())
    return segmenter.eval()


def dice(method: BlindCurve, cohort: Cohort, source: str, seed: int) -> list[float]:
    """Return the Dice of white matter on each harmonised test scan of a source, in per cent."""
    segmenter, scans = segmenter_of(cohort, seed), cohort.scans(source, "test", labelled=True)
    values = []
    for n in range(len(scans)):
        scan = scans.load([n])
        found, true = (
            labels == WHITE for labels in (segmenter(method(scan)).predicted, scan.labels)
        )
        values.append(200 * float((found & true).sum() / (found.sum() + true.sum())))
    return values


def beginning_with(texts: Sequence[str], items: Mapping[str, T]) -> dict[str, T]:
    """Return the items whose names begin with one of the texts; all where there is no text."""
    return {name: item for name, item in items.items() if name.startswith(tuple(texts) or "")}


@dataclass(frozen=True)
class Columns:
    """What variants of the method are scored by.

    Attributes
    ----------
    source
        A labelled site whose harmonised scans are segmented; None for none.
    only
        Beginnings of the names of the columns to compute; all if empty.
    """

    source: str | None = None
    only: Sequence[str] = ()

    @torch.no_grad()
    def scores(self, method: BlindCurve, cohort: Cohort, seed: int) -> dict[str, list[float]]:
        """Return the PSNR of every test scan in dB, or its Dice, by column."""
        columns: dict[str, Callable[[], list[float]]] = {
            **{
                task.name: partial(of_task, method, cohort, seed, task) for task in tasks_of(cohort)
            },
            "target scans as they are": partial(of_target, method, cohort),
            **{
                f"ventricles {volume:g} ml": partial(of_ventricles, method, cohort, volume)
                for volume in VENTRICLES
            },
        }
        if self.source is not None:
            columns[f"Dice of {self.source}"] = partial(dice, method, cohort, self.source, seed)
        return {name: column() for name, column in beginning_with(self.only, columns).items()}


def of_task(method: BlindCurve, cohort: Cohort, seed: int, task: Task) -> list[float]:
    """Return the PSNR of each test scan of a task."""
    data = task.setup(cohort, seed)
    assert data.references is not None
    return [
        psnr(method(data.test.load([n])), data.references.load([n]), data.target)
        for n in range(len(data.test))
    ]


def of_target(method: BlindCurve, cohort: Cohort) -> list[float]:
    """Return the PSNR of each of the target's test scans against itself."""
    test = cohort.scans(cohort.target, "test")
    scans = (test.load([n]) for n in range(len(test)))
    return [min(_UNCHANGED, psnr(method(scan), scan, test)) for scan in scans]


def of_ventricles(method: BlindCurve, cohort: Cohort, volume: float) -> list[float]:
    """Return the PSNR of each of the target's test scans with larger ventricles and a shift."""
    scans = cohort.scans(cohort.target, "test", labelled=True)
    return [
        psnr(method(shifted), truth, scans)
        for n in range(len(scans))
        for shifted, truth in enlarged(scans, n, volume)
    ]


def enlarged(scans: ScanSet, n: int, volume: float) -> list[tuple[Scans, Scans]]:
    """Return a scan with larger ventricles, with and without an exponential shift.

    The list is empty for a scan without labelled ventricles.
    """
    scan = scans.load([n])
    assert scan.labels is not None
    if not ventricles(scan.labels[0].numpy(), scans.grid).any():
        return []
    index = torch.arange(len(scan.images[0]))
    change = EnlargedVentricles(LabelledScan(scans, scans, n), volume)
    images = change(scan.images[0], scan.masks[0], index)
    shifted = FormulaCurve("exp")(images, scan.masks[0], index, index)
    return [(scan.with_images(shifted[None]), scan.with_images(images[None]))]


Fitted = list[tuple[Cohort, BlindCurve]]


def fit_all(
    cohorts: Sequence[Cohort], seed: int, config: BlindCurveConfig, subjects: int = 0
) -> Fitted:
    """Fit the method on the training subjects of every inner fold."""
    return [(cohort, fitted(data_of(cohort, seed), config, subjects)[0]) for cohort in cohorts]


def print_table(
    title: str, seed: int, variants: Mapping[str, Callable[[], Fitted]], columns: Columns
) -> None:
    """Score variants of the method, and print mean and worst subject of all inner folds."""
    for number, (name, fits) in enumerate(variants.items()):
        values: dict[str, list[float]] = {}
        for cohort, method in fits():
            for task, of_scans in columns.scores(method, cohort, seed).items():
                values.setdefault(task, []).extend(of_scans)
        values = {task: of_scans for task, of_scans in values.items() if of_scans}
        if not number:
            row(title, list(values))
            row("---", ["---"] * len(values))
        row(name, [f"{np.mean(v):.1f} ({min(v):.1f})" for v in values.values()])


def changed(fits: Fitted, changes: Mapping[str, Any]) -> Fitted:
    """Return fitted methods with other settings, which the fit does not depend on."""
    variants = []
    for cohort, method in fits:
        variant = copy.deepcopy(method)
        variant.config = dataclasses.replace(method.config, **changes)
        variants.append((cohort, variant))
    return variants


def with_settings(config: BlindCurveConfig, text: str) -> BlindCurveConfig:
    """Return the config with the settings of `NAME=VALUE,NAME=VALUE`."""
    parsed = parse([f"{BlindCurve.name}.{pair}" for pair in text.split(",")])
    changed_config: BlindCurveConfig = apply(BlindCurve.name, config, parsed[BlindCurve.name])
    return changed_config


def row(title: str, cells: Sequence[str]) -> None:
    """Print a row of a table."""
    print(f"| {title} | " + " | ".join(cells) + " |", flush=True)


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


def print_flags(cohort: Cohort, method: BlindCurve) -> None:
    """Print how many of the target's test scans are flagged, unchanged and changed."""
    test = cohort.scans(cohort.target, "test")
    scans = test.load(range(len(test)))
    for title, case in guard_cases(scans).items():
        flags = [flag for flag in method(case).flags or () if flag]
        print(f"- {title}: {len(flags)} of {len(scans)} flagged; {''.join(flags[:1])}")


def main() -> None:
    """Print the selected tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("prepared", type=Path)
    parser.add_argument("--target", help="a site of the cohort; its own target by default")
    parser.add_argument("--source", help="a labelled site whose harmonised scans are segmented")
    parser.add_argument("--only", nargs="+", default=[], help="beginnings of names of columns")
    parser.add_argument("--folds", type=int, nargs="+", default=[*range(1, INNER_FOLDS + 1)])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--subjects", type=int, nargs="+", default=[])
    parser.add_argument(
        "--parts", nargs="*", metavar="NAME", help="beginnings of names of parts; all if none"
    )
    parser.add_argument("--settings", nargs="+", default=[], help="as NAME=VALUE,NAME=VALUE")
    parser.add_argument("--guard", action="store_true")
    options = parser.parse_args()
    config, columns = PRESETS["quick"], Columns(options.source, options.only)
    cohorts = [development(options.prepared, options.target, fold) for fold in options.folds]
    for seed in options.seeds:
        if options.parts is not None or options.guard:
            start = time.perf_counter()
            fits = fit_all(cohorts, seed, config)
            seconds = (time.perf_counter() - start) / len(fits)
            print(f"\nseed {seed}, fitted in {seconds:.0f} s each\n")
        if options.parts is not None:
            chosen = beginning_with(options.parts, PARTS)
            parts = {name: partial(changed, fits, part) for name, part in chosen.items()}
            print_table("parts", seed, parts, columns)
        if options.subjects:
            counts = {
                str(count or "all"): partial(fit_all, cohorts, seed, config, count)
                for count in options.subjects
            }
            print_table("training subjects", seed, counts, columns)
        if options.settings:
            variants = {
                text: partial(fit_all, cohorts, seed, with_settings(config, text))
                for text in options.settings
            }
            print_table("settings", seed, variants, columns)
        if options.guard:
            for cohort, method in fits:
                print_flags(cohort, method)


if __name__ == "__main__":
    main()
