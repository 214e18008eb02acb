"""Pictures of results: source, harmonised, reference and difference in one grey window."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from torch import Tensor

from harmbench.run.cell import Cell
from harmbench.scans import Scans
from harmbench.task import TaskData

Image = npt.NDArray[np.float32]


@dataclass(frozen=True)
class _Frame:
    person: str
    source: Image
    harmonized: Image
    reference: Image | None


@dataclass
class Keyframes:
    """Keeps one slice of every scan while a cell is computed, and draws the median person.

    The person drawn is the one in the middle of the ranking, so that the picture neither
    flatters nor shames.
    """

    cell: Cell
    frames: list[_Frame] = field(default_factory=list)

    def add(self, source: Scans, harmonized: Scans, truth: Scans | None) -> None:
        """Keep the middle slice of each scan of a batch."""
        for i, person in enumerate(source.people):
            self.frames.append(
                _Frame(
                    person,
                    _middle(source.images[i]),
                    _middle(harmonized.images[i]),
                    None if truth is None else _middle(truth.images[i]),
                )
            )

    def figure(self, scores: pd.DataFrame, data: TaskData) -> Figure:
        """Draw the median person's slice as four panels in one grey window of [0, 1].

        Without a reference a scan of another person of the target domain stands in its
        place, and is called so; the difference is then to the source.
        """
        metric = "psnr" if (scores["metric"] == "psnr").any() else "wasserstein"
        ranking = scores[scores["metric"] == metric].groupby("person")["value"].mean().sort_values()
        person = ranking.index[len(ranking) // 2] if len(ranking) else self.frames[0].person
        frame = next(frame for frame in self.frames if frame.person == person)
        if frame.reference is not None:
            reference, name = frame.reference, "reference"
            difference, what = frame.harmonized - reference, "harmonised − reference"
        else:
            reference = _middle(data.target.load([0]).images[0])
            name = "target domain (another person)"
            difference, what = frame.harmonized - frame.source, "harmonised − source"
        figure = Figure(figsize=(12, 4))
        FigureCanvasAgg(figure)
        # Axes are placed by hand: the automatic layouts cost more than scoring a scan.
        panels = [figure.add_axes((x, 0.03, 0.205, 0.78)) for x in (0.01, 0.22, 0.43, 0.73)]
        scales = [figure.add_axes((x, 0.12, 0.008, 0.6)) for x in (0.642, 0.942)]
        images = [frame.source, frame.harmonized, reference]
        titles = ["source", f"harmonised: {self.cell.label}", name]
        for axis, image, title in zip(panels, images, titles, strict=False):
            shown = axis.imshow(upright(image), cmap="gray", vmin=0, vmax=1)
            axis.set_title(title, fontsize=10)
        figure.colorbar(shown, cax=scales[0], label="intensity")
        shown = panels[3].imshow(upright(difference), cmap="RdBu_r", vmin=-0.3, vmax=0.3)
        panels[3].set_title(what, fontsize=10)
        figure.colorbar(shown, cax=scales[1])
        for axis in panels:
            axis.set_axis_off()
        note = " (phantom)" if self.cell.kind == "phantom" else ""
        value = f", {metric} {ranking[person]:.3g}" if len(ranking) else ""
        figure.suptitle(
            f"{self.cell.task} on {self.cell.cohort}{note}: median person {person}{value}",
            fontsize=11,
        )
        return figure


def upright(image: Image) -> Image:
    """Turn a slice `(H, W)` so that it is shown with the front of the head up."""
    return np.rot90(image)


def _middle(images: Tensor) -> Image:
    image: Image = images[len(images) // 2].numpy().copy()
    return image
