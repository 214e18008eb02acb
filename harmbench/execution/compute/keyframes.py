"""The picture of a cell: source, harmonised scan, reference and difference."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

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
# In inches: the picture, the panels' left ends, and their size and lower end.
_SIZE = (12.0, 4.0)
_LEFT = (0.12, 2.64, 5.16, 8.76)
_WIDTH, _HEIGHT, _BOTTOM = 2.46, 3.12, 0.12
_Place = tuple[float, float, float, float]  # left, right, lower and upper end


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
        figure, axes = _canvas()
        sides = [annotated(side) for side in (frame.source, frame.harmonized, shown_reference)]
        titles = ["source", f"harmonised: {self.cell.label}", name]
        for left, scans, title in zip(_LEFT, sides, titles, strict=False):
            place = _show(axes, left, _image(scans), title, cmap="gray", vmin=0, vmax=1)
            _outline(axes, scans, place)
        _show(axes, _LEFT[3], difference, what, cmap="RdBu_r", vmin=-0.3, vmax=0.3)
        _scale(axes, _LEFT[2] + _WIDTH + 0.08, (0, 0.5, 1), "intensity", "gray")
        _scale(axes, _LEFT[3] + _WIDTH + 0.08, (-0.3, 0, 0.3), "", "RdBu_r")
        # Images change the limits of their axes.
        axes.set(xlim=(0, _SIZE[0]), ylim=(0, _SIZE[1]))
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


def _canvas() -> tuple[Figure, Axes]:
    """Return an empty figure, and axes in inches that fill it.

    One pair of axes without ticks for all panels and scales, at fixed positions: axes of their
    own and automatic layouts take longer than scoring a scan.
    """
    # Here, since a run that finds all its cells in the store draws nothing.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=_SIZE)
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    return figure, axes


def _show(axes: Axes, left: float, image: Image, title: str, **colours: Any) -> _Place:
    """Show a slice upright in the panel that begins at `left`, under its title.

    The slice is as large as fits, with square pixels. Returns where it lies.
    """
    image = upright(image)
    rows, columns = image.shape
    scale = min(_WIDTH / columns, _HEIGHT / rows)
    x, y = left + (_WIDTH - columns * scale) / 2, _BOTTOM + (_HEIGHT - rows * scale) / 2
    place = (x, x + columns * scale, y, y + rows * scale)
    axes.imshow(image, extent=place, aspect="auto", **colours)
    axes.text(left + _WIDTH / 2, place[3] + 0.08, title, fontsize=10, ha="center")
    return place


def _scale(axes: Axes, left: float, values: Sequence[float], label: str, colours: str) -> None:
    """Draw a scale of colours, with a label at equal distances for each value."""
    width, bottom, height = 0.1, 0.48, 2.4
    shades = np.linspace(1, 0, 256)[:, None]
    place = (left, left + width, bottom, bottom + height)
    axes.imshow(shades, cmap=colours, extent=place, aspect="auto")
    x, y = (left, left + width), (bottom, bottom + height)
    axes.plot([*x, *x[::-1], left], [y[0], y[0], y[1], y[1], y[0]], color="black", linewidth=0.6)
    beside = left + width + 0.06
    for level, value in zip(np.linspace(*y, len(values)), values, strict=True):
        axes.text(beside, float(level), f"{value:g}", fontsize=9, va="center")
    axes.text(beside + 0.28, bottom + height / 2, label, fontsize=9, rotation=90, va="center")


def _outline(axes: Axes, scans: Scans, place: _Place) -> None:
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
                axes.contour(
                    inside, [0.5], colors=colour, linewidths=0.6, extent=place, origin="upper"
                )
    text = "red: predicted" + ("; blue: true" if scans.labels is not None else "")
    middle_of_panel = (place[0] + place[1]) / 2
    axes.text(middle_of_panel, _BOTTOM + 0.03, text, color="white", fontsize=7, ha="center")


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
