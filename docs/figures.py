"""Draw the figures of the page about the phantom: `python docs/figures.py`."""

from __future__ import annotations

from pathlib import Path

import torch
from matplotlib.figure import Figure

from harmbench import upright
from harmbench.cohorts.phantom.mprage import Mprage
from harmbench.cohorts.phantom.relaxation import TISSUES
from harmbench.cohorts.phantom.scanner import SCANNERS
from harmbench.cohorts.phantom.scanning import scan_subject
from harmbench.cohorts.phantom.subject import draw_subject
from harmbench.cohorts.phantom.template import Template, load_template
from harmbench.data.scans import GRIDS

IMAGES = Path(__file__).parent / "images"
SLICE = 26  # through the ventricles and the deep grey matter
SUBJECTS = ("P00001", "P00002", "P00003", "P00004", "P00005")
_TISSUES = {"wm": "white matter", "gm": "grey matter", "csf": "CSF"}


def panels(images: list[torch.Tensor], titles: list[str]) -> Figure:
    """Draw slices side by side in the grey window [0, 1]."""
    figure = Figure(figsize=(2.0 * len(images), 2.75))
    for column, (image, title) in enumerate(zip(images, titles, strict=True)):
        axis = figure.add_axes((column / len(images), 0, 1 / len(images), 0.86))
        axis.imshow(upright(image), cmap="gray", vmin=0, vmax=1)
        axis.set_title(title, fontsize=9)
        axis.set_axis_off()
    figure.patch.set_facecolor("black")
    for axis in figure.axes:
        axis.title.set_color("white")
    return figure


def scanners(template: Template) -> Figure:
    """Draw one subject on the five scanners."""
    images = scan_subject(SUBJECTS[0], template, GRIDS["paper"]).images
    titles = [f"{name}\n{each.model}, {each.tesla:g} T" for name, each in SCANNERS.items()]
    return panels([images[name][SLICE] for name in SCANNERS], titles)


def subjects(template: Template) -> Figure:
    """Draw five subjects on the target's scanner."""
    slices, titles = [], []
    for name in SUBJECTS:
        slices.append(scan_subject(name, template, GRIDS["paper"]).images["target"][SLICE])
        titles.append(f"{name}\n{draw_subject(name).age:.0f} years")
    return panels(slices, titles)


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
        for tissue, values in TISSUES[SCANNERS[name].tesla].items():
            level = float(sequence.signal(torch.tensor(values.t1), torch.tensor(1.0)).abs())
            marker = {"wm": "o", "gm": "s", "csf": "^"}[tissue]
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
    figures = {"scanners": scanners(template), "subjects": subjects(template), "signal": signal()}
    for name, figure in figures.items():
        figure.savefig(IMAGES / f"phantom-{name}.png", dpi=90)


if __name__ == "__main__":
    main()
