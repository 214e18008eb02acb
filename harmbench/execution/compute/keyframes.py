"""The picture of a cell: source, harmonised scan, reference and difference."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from torch import Tensor

from harmbench.contracts.cell import Cell
from harmbench.contracts.task_data import TaskData
from harmbench.data.display import Image, upright
from harmbench.data.scan_kind import phantom_note
from harmbench.data.scans import Scans
from harmbench.execution.compute.shown_subjects import distance_to_truth, middle

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Of the true outline of a tissue, and of the predicted one.
_TRUE, _PREDICTED = "#00e5ff", "#ff3b30"


@dataclass(frozen=True)
class _Frame:
    """One slice of a scan; each side holds one scan of one slice, `(1, 1, H, W)`."""

    source: Scans
    harmonized: Scans
    reference: Scans | None
    distance: float

    @property
    def subject(self) -> str:
        return self.source.subjects[0]


@dataclass
class Keyframes:
    """Keeps one slice of every scan while a cell is computed, and draws the median subject.

    It is the median by the distance of the source from the truth: the same for all methods, and
    neither the easiest nor the hardest. Where there is no truth it is the median by brightness.
    """

    cell: Cell
    frames: list[_Frame] = field(default_factory=list)

    def add(self, source: Scans, harmonized: Scans, truth: Scans | None) -> None:
        """Keep the middle slice of each scan of a batch."""
        for i in range(len(source)):
            reference = None if truth is None else _middle(truth, i)
            distance = distance_to_truth(source, truth, i)
            sides = (_middle(source, i), _middle(harmonized, i), reference)
            self.frames.append(_Frame(*sides, distance))

    def _median_frame(self) -> _Frame:
        """Return the frame of the median subject, of its first scan."""
        first: dict[str, _Frame] = {}
        for frame in self.frames:
            first.setdefault(frame.subject, frame)
        ordered = sorted(first.values(), key=lambda frame: (frame.distance, frame.subject))
        return ordered[middle(len(ordered))]

    def figure(
        self,
        scores: pd.DataFrame,
        data: TaskData,
        ranked_by: Sequence[str],
        annotated: Callable[[Scans], Scans],
    ) -> Figure:
        """Draw the median subject's slice as four panels in one grey window of [0, 1].

        Without a reference a scan of another subject of the target domain stands in its
        place, and is called so; the difference is then to the source. Where an instrument
        made labels of the images, they and the true ones are outlined.

        Parameters
        ----------
        scores
            Of the cell.
        data
            What the task chose.
        ranked_by
            Metrics; the subject's value is that of the first one in `scores`, or else of any.
        annotated
            Returns scans of one slice with what an instrument made of them; see `Scorer`.
        """
        frame = self._median_frame()
        source, harmonized = _image(frame.source), _image(frame.harmonized)
        if frame.reference is not None:
            shown_reference, name = frame.reference, "reference"
            difference, what = harmonized - _image(shown_reference), "harmonised − reference"
        else:
            # A validation subject, if there is one: no fit has used it.
            others = data.validation if len(data.validation) else data.target
            shown_reference = _middle(others.load([0]), 0)
            name = "target domain (another subject)"
            difference, what = harmonized - source, "harmonised − source"
        figure, panels, scales = _panels()
        sides = [annotated(side) for side in (frame.source, frame.harmonized, shown_reference)]
        titles = ["source", f"harmonised: {self.cell.label}", name]
        for axis, scans, title in zip(panels, sides, titles, strict=False):
            shown = axis.imshow(upright(_image(scans)), cmap="gray", vmin=0, vmax=1)
            axis.set_title(title, fontsize=10, y=1.0)
            _outline(axis, scans)
        figure.colorbar(shown, cax=scales[0], label="intensity")
        shown = panels[3].imshow(upright(difference), cmap="RdBu_r", vmin=-0.3, vmax=0.3)
        panels[3].set_title(what, fontsize=10, y=1.0)
        figure.colorbar(shown, cax=scales[1])
        for axis in panels:
            axis.set_axis_off()
        note = phantom_note(self.cell.kind)
        figure.suptitle(
            f"{self.cell.task} on {self.cell.cohort}{note}: the task's median subject, "
            f"{frame.subject}{_value(scores, ranked_by, frame.subject)}",
            fontsize=11,
        )
        return figure


def _value(scores: pd.DataFrame, ranked_by: Sequence[str], subject: str) -> str:
    """Return a subject's mean of the first metric that there is, as text; empty without one."""
    # Without truth, a cell has no headline metric.
    of_subject = scores[(scores["subject"] == subject) & scores["value"].notna()]
    measured = of_subject["metric"].unique()
    metric = next((name for name in (*ranked_by, *measured) if name in measured), "")
    if not metric:
        return ""
    return f", {metric} {of_subject[of_subject['metric'] == metric]['value'].mean():.3g}"


def _panels() -> tuple[Figure, list[Axes], list[Axes]]:
    """Return an empty figure with the axes of four panels and of two colour scales."""
    # Here, since a run that finds all its cells in the store draws nothing.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 4))
    FigureCanvasAgg(figure)
    # Fixed positions: the automatic layouts take longer than scoring a scan.
    panels = [figure.add_axes((x, 0.03, 0.205, 0.78)) for x in (0.01, 0.22, 0.43, 0.73)]
    scales = [figure.add_axes((x, 0.12, 0.008, 0.6)) for x in (0.642, 0.942)]
    return figure, panels, scales


def _outline(axis: Axes, scans: Scans) -> None:
    """Outline the tissues that an instrument found, over the true ones if they are known."""
    if scans.predicted is None:
        return
    predicted = scans.predicted[0, 0].cpu().numpy()
    drawn = {_PREDICTED: predicted}
    if scans.labels is not None:
        drawn = {_TRUE: scans.labels[0, 0].numpy(), **drawn}
    for tissue in np.unique(predicted[predicted > 0]):
        for colour, labels in drawn.items():
            inside: Image = upright((labels == tissue).astype(np.float32))
            if inside.any():
                axis.contour(inside, levels=[0.5], colors=colour, linewidths=0.6)
    text = "red: predicted" + ("; blue: true" if scans.labels is not None else "")
    axis.text(0.5, 0.01, text, color="white", fontsize=7, ha="center", transform=axis.transAxes)


def _middle(scans: Scans, i: int) -> Scans:
    """Return the middle slice of one scan, as a scan of one slice that holds no more than it."""
    index = scans.images.shape[1] // 2

    def cut(tensor: Tensor | None) -> Tensor | None:
        return None if tensor is None else tensor[i : i + 1, index : index + 1].clone()

    return replace(
        scans,
        images=scans.images[i : i + 1, index : index + 1].clone(),
        masks=scans.masks[i : i + 1, index : index + 1].clone(),
        subjects=scans.subjects[i : i + 1],
        sessions=scans.sessions[i : i + 1],
        positions=scans.positions[index : index + 1],
        labels=cut(scans.labels),
        truth=cut(scans.truth),
        predicted=cut(scans.predicted),
    )


def _image(scans: Scans) -> Image:
    image: Image = scans.images[0, 0].numpy()
    return image
