"""Draw the figures of the page about the phantom: `python docs/figures.py`."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import torch
from matplotlib.figure import Figure
from torch import Tensor

from harmbench import upright
from harmbench.cohorts.phantom.anatomy import build_anatomy
from harmbench.cohorts.phantom.fields import session_fields
from harmbench.cohorts.phantom.lattice import Lattice
from harmbench.cohorts.phantom.mprage import Mprage
from harmbench.cohorts.phantom.relaxation import TISSUES
from harmbench.cohorts.phantom.scanner import SCANNERS
from harmbench.cohorts.phantom.scanning import NOISE_FREE, REPEAT, scan_subject
from harmbench.cohorts.phantom.session import draw_session
from harmbench.cohorts.phantom.subject import draw_subject
from harmbench.cohorts.phantom.template import TissueTemplate, load_template
from harmbench.data.scans import GRIDS

IMAGES = Path(__file__).parent / "images"
SLICE = 26  # through the ventricles and the deep grey matter
SUBJECTS = ("P00007", "P00005", "P00002", "P00003", "P00010")
_TISSUES = {"wm": "white matter", "gm": "grey matter", "csf": "CSF", "lesion": "lesion"}
_MARKERS = {"wm": "o", "gm": "s", "csf": "^", "lesion": "x"}


def panels(rows: list[list[Tensor]], titles: list[str]) -> Figure:
    """Draw rows of slices in the grey window [0, 1], with a title above each column."""
    height = 2.35
    figure = Figure(figsize=(1.9 * len(titles), height * len(rows) + 0.4))
    top = 1 - 0.4 / (height * len(rows) + 0.4)
    for row, images in enumerate(rows):
        for column, image in enumerate(images):
            left, bottom = column / len(titles), top * (1 - (row + 1) / len(rows))
            axis = figure.add_axes((left, bottom, 1 / len(titles), top / len(rows)))
            axis.imshow(upright(image), cmap="gray", vmin=0, vmax=1)
            axis.set_axis_off()
            if not row:
                axis.set_title(titles[column], fontsize=9, color="white")
    figure.patch.set_facecolor("black")
    return figure


def scanners(template: TissueTemplate) -> Figure:
    """Draw one subject on the five scanners: two slices."""
    images = scan_subject(SUBJECTS[3], template, GRIDS["paper"]).images
    titles = [f"{name}\n{each.model}, {each.tesla:g} T" for name, each in SCANNERS.items()]
    return panels([[images[name][place] for name in SCANNERS] for place in (14, 34)], titles)


def subjects(template: TissueTemplate) -> Figure:
    """Draw five subjects of different age on the target's scanner, and their tissue."""
    images: list[Tensor] = []
    tissues: list[Tensor] = []
    titles: list[str] = []
    for name in SUBJECTS:
        scans = scan_subject(name, template, GRIDS["paper"], domains=("target",))
        images.append(scans.images["target"][SLICE])
        tissues.append(scans.labels[SLICE] / 3)
        subject = draw_subject(name)
        note = ", large ventricles" if subject.large_ventricles else ""
        titles.append(f"{name}: {subject.age:.0f} years{note}\n{len(subject.lesions)} lesions")
    return panels([images, tissues], titles)


def sessions(template: TissueTemplate) -> Figure:
    """Draw the two sessions of a test subject on the target, and the first without noise."""
    domains = {"target": "target", REPEAT: "rescan", NOISE_FREE: "without noise"}
    scans = scan_subject("T00001", template, GRIDS["paper"], domains=domains)
    images = [scans.images[domain][SLICE] for domain in domains]
    difference = 0.5 + (images[1] - images[0]) * 2
    return panels([[*images, difference]], [*domains.values(), "rescan - target, twice"])


def fields(template: TissueTemplate) -> Figure:
    """Draw the fields of two sessions of each scanner, in a slice through the brain."""
    lattice = Lattice.of(GRIDS["paper"])
    titles = {"b1": "B1+", "receive": "receive", "noise": "noise"}
    figure = Figure(figsize=(10.0, 4.3), layout="constrained")
    grid = figure.subplots(len(titles), 2 * len(SCANNERS))
    for column, (domain, name) in enumerate(product(SCANNERS, ("P00001", "P00002"))):
        subject = draw_subject(name)
        brain = build_anatomy(subject, template, lattice).brain[SLICE] > 0.5
        session = draw_session(name, domain)
        drawn = session_fields(SCANNERS[domain], session, subject.size, lattice)
        for row, title in enumerate(titles):
            values = getattr(drawn, title)[SLICE]
            values = torch.where(brain, values / values[brain].mean(), torch.nan)
            axis = grid[row, column]
            axis.imshow(upright(values), vmin=0.75, vmax=1.25, cmap="RdBu_r")
            axis.set(xticks=[], yticks=[])
            axis.spines[:].set_visible(False)
        grid[0, column].set_title(f"{domain}\n{name}", fontsize=8)
    for row, title in enumerate(titles.values()):
        grid[row, 0].set_ylabel(title)
    return figure


def signal() -> Figure:
    """Draw the signal equation of each protocol over T1, and over B1+ for two of them."""
    figure = Figure(figsize=(9, 3.4), layout="constrained")
    over_t1, over_b1 = figure.subplots(1, 2)
    t1 = torch.linspace(0.4, 4.6, 400)
    protocols = {
        "target": "TIM Trio (target, domain4)",
        "domain2": "Vision (domain2)",
        "domain3": "Vida and mMR (domain1, domain3)",
    }
    for name, title in protocols.items():
        sequence = SCANNERS[name].sequence
        assert isinstance(sequence, Mprage)
        (line,) = over_t1.plot(t1, sequence.signal(t1, torch.tensor(1.0)).abs(), label=title)
        for tissue, marker in _MARKERS.items():
            values = TISSUES[SCANNERS[name].tesla][tissue]
            level = float(sequence.signal(torch.tensor(values.t1), torch.tensor(1.0)).abs())
            over_t1.plot(values.t1, level, marker, color=line.get_color())
    over_t1.set(xlabel="$T_1$ in s", ylabel="signal over $M_0$")
    over_t1.legend(fontsize=8)
    b1 = torch.linspace(0.6, 1.3, 100)
    sequence = SCANNERS["target"].sequence
    for tissue, title in _TISSUES.items():
        values = TISSUES[3.0][tissue]
        level = sequence.transverse(values) * sequence.signal(torch.tensor(values.t1), b1).abs()
        over_b1.plot(b1, level, label=title)
    over_b1.set(xlabel="achieved over nominal flip angle", ylabel="signal, target, 3 T", ylim=0)
    over_b1.legend(fontsize=8)
    return figure


def main() -> None:
    """Draw all figures."""
    template = load_template()
    IMAGES.mkdir(exist_ok=True)
    figures = {
        "scanners": scanners(template),
        "subjects": subjects(template),
        "sessions": sessions(template),
        "fields": fields(template),
        "signal": signal(),
    }
    for name, figure in figures.items():
        figure.savefig(IMAGES / f"phantom-{name}.png", dpi=90)


if __name__ == "__main__":
    main()
