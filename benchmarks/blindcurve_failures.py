"""Failures of `blindcurve`: the worst subjects, very large ventricles, and another contrast.

The phantom is used, since it can simulate large ventricles and T2-weighted scans::

    python benchmarks/blindcurve_failures.py ~/.harmbench/cohorts/phantom-quick-... FIGURE.png

Prints a Markdown table (PSNR in dB of `histogram` and `blindcurve`, and flags) and draws the
cases. See docs/blindcurve.md.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from blindcurve_study import fitted, psnr, row
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image
from scipy import ndimage
from skimage import measure
from torch import Tensor

from harmbench import Cohort, Method, Needs, Scans, Task, upright
from harmbench.cohorts.phantom.anatomy import Anatomy, build_anatomy
from harmbench.cohorts.phantom.lattice import Lattice
from harmbench.cohorts.phantom.render import render
from harmbench.cohorts.phantom.scanner import SCANNERS
from harmbench.cohorts.phantom.scanning import label, t2_weighted
from harmbench.cohorts.phantom.session import draw_session
from harmbench.cohorts.phantom.subject import draw_subject
from harmbench.cohorts.phantom.template import load_template
from harmbench.contracts.fit_progress import FitProgress
from harmbench.plugins import Registry
from harmbench.preprocessing.normalization import NORMALIZATIONS
from harmbench_methods.blindcurve.config import PRESETS
from harmbench_methods.histogram import Histogram
from harmbench_tasks.simulated import FormulaCurve

SUBJECT = "ventricles"  # not a subject of the cohort
GROWTHS = (0, 1, 3, 6)  # voxels of 1.2 mm by which ventricles grow on all sides
VENTRICLES = ((-16, 44), (-32, 32), (-62, 38))  # mm along z, x and y: the box that contains them


@dataclass(frozen=True)
class Case:
    """An example scan with its truth."""

    title: str
    scan: Scans
    truth: Scans


def worst(task: Task, cohort: Cohort, method: Method) -> Case:
    """Return the test scan of a task with the lowest PSNR."""
    data = task.setup(cohort, 0)
    assert data.references is not None
    cases = [(data.test.load([n]), data.references.load([n])) for n in range(len(data.test))]
    with torch.no_grad():
        scores = [psnr(method(scan), truth, data.target) for scan, truth in cases]
    scan, truth = cases[int(np.argmin(scores))]
    return Case(f"worst of {task.name}, {scan.subjects[0]}", scan, truth)


def grown(anatomy: Anatomy, lattice: Lattice, growth: int) -> Anatomy:
    """Replace tissue around the ventricles by CSF, as in hydrocephalus but without displacement."""
    inside = torch.ones(lattice.shape)
    for axis, (positions, (low, high)) in enumerate(zip(lattice.axes, VENTRICLES, strict=True)):
        position = torch.as_tensor(positions)
        shape = [-1 if n == axis else 1 for n in range(3)]
        inside = inside * ((position > low) & (position < high)).view(shape)
    csf = anatomy.fractions[0]
    parts = measure.label((csf * inside > 0.5).numpy())
    ventricles = parts == np.bincount(parts.ravel())[1:].argmax() + 1
    distance = torch.from_numpy(ndimage.distance_transform_edt(~ventricles)).float()
    share = (growth + 0.5 - distance).clamp(0, 1) if growth else torch.zeros_like(csf)
    fluid = torch.maximum(csf, share * anatomy.brain)
    tissue = anatomy.fractions[1:] * ((1 - fluid) / (1 - csf).clamp_min(1e-3))
    return anatomy._replace(fractions=torch.cat((fluid[None], tissue)))


def pathological(cohort: Cohort, growth: int) -> Case:
    """Simulate a target scan with large ventricles, and apply the curve of `sim-exp`."""
    lattice = Lattice.of(cohort.grid)
    subject = draw_subject(SUBJECT)
    anatomy = grown(build_anatomy(subject, load_template(), lattice), lattice, growth)
    labels = label(anatomy, lattice)
    session = draw_session(SUBJECT, "target")
    rendering = render(anatomy, subject.size, SCANNERS["target"], session, lattice)
    volume = lattice.to_grid(rendering.image)
    normalize = NORMALIZATIONS[cohort.normalization]
    image = torch.from_numpy(normalize(volume.numpy(), (labels > 0).numpy()))
    share = float((labels == 1).sum() / (labels > 0).sum())
    like = cohort.scans("target", "test").load([0])
    truth = replace(
        like, images=image[None], masks=(labels > 0)[None], labels=None, subjects=(SUBJECT,)
    )
    index = torch.arange(len(image))
    bent = FormulaCurve("exp")(image, labels > 0, index, index)
    title = f"ventricles grown by {1.2 * growth:.1f} mm, {share:.0%} CSF"
    return Case(title, truth.with_images(bent[None]), truth)


def t2(cohort: Cohort) -> Case:
    """Return a T2-weighted scan of a test subject; its T1-weighted scan is the truth."""
    truth = cohort.scans("target", "test").load([0])
    image = t2_weighted(truth.subjects[0], load_template(), cohort.grid)
    return Case(f"T2-weighted, {truth.subjects[0]}", truth.with_images(image[None]), truth)


def cases(cohort: Cohort, method: Method) -> Iterator[Case]:
    """Yield all cases."""
    registry = Registry.discover()

    def task(name: str) -> Task:
        return registry.entry("tasks", name, cohort.sources).build()

    for name in ("sim-exp", "sim-bias", "domain2"):
        yield worst(task(name), cohort, method)
    for growth in GROWTHS:
        yield pathological(cohort, growth)
    yield t2(cohort)


def draw(rows: list[tuple[Case, Tensor, str]], path: Path) -> None:
    """Draw source, result, truth and error of every case."""
    figure = Figure(figsize=(14.0, 1.25 * len(rows) + 0.7), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(-(-len(rows) // 2), 8, squeeze=False)
    for axis in grid.flat:
        axis.set_axis_off()
    for axes, (case, result, caption) in zip(grid.reshape(-1, 4), rows, strict=False):
        middle = result.shape[0] // 2
        truth = case.truth.images[0, middle]
        pictures = (case.scan.images[0, middle], result[middle], truth, result[middle] - truth)
        for axis, picture in zip(axes, pictures, strict=True):
            error = picture is pictures[-1]
            low, high, colours = (-0.3, 0.3, "RdBu_r") if error else (0.0, 1.0, "gray")
            axis.imshow(upright(picture.numpy()), vmin=low, vmax=high, cmap=colours)
        text = axes[0].text(0, 1.04, caption, transform=axes[0].transAxes, fontsize=9)
        text.set_in_layout(False)
    figure.suptitle(
        "Failures of blindcurve (the phantom, not real scans): source, result, truth, error (±0.3)",
        fontsize=11,
    )
    figure.savefig(path, dpi=70)
    with Image.open(path) as picture:
        picture.convert("RGB").quantize(256).save(path, optimize=True)  # for docs/


def main() -> None:
    """Fit, print the table and draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("prepared", type=Path)
    parser.add_argument("figure", type=Path)
    options = parser.parse_args()
    cohort = Cohort(options.prepared)
    data = Registry.discover().entry("tasks", "sim-exp", cohort.sources).build().setup(cohort, 0)
    fit_data = data.fit_data(0).restricted(Needs.TARGET)
    method, _ = fitted(fit_data, PRESETS["quick"])
    histogram = Histogram(cohort.grid)
    histogram.fit(fit_data, FitProgress())
    row("case", ["identity", "histogram", "blindcurve", "flagged"])
    row("---", ["---"] * 4)
    rows = []
    for case in cases(cohort, method):
        with torch.no_grad():
            result, matched = method(case.scan), histogram.eval()(case.scan)
        values = [psnr(scan, case.truth, data.target) for scan in (case.scan, matched, result)]
        flag = (result.flags or ("",))[0]
        row(case.title, [*(f"{value:.1f}" for value in values), "yes" if flag else ""])
        verdict = "flagged" if flag else f"{values[2]:.1f} dB, histogram {values[1]:.1f}"
        rows.append((case, result.images[0], f"{case.title}: {verdict}"))
    draw(rows, options.figure)


if __name__ == "__main__":
    main()
