"""A contact sheet of the prepared scans of a cohort."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from harmbench.data.cohort import Cohort
from harmbench.data.display import upright
from harmbench.data.scan_kind import kind_of_scans
from harmbench.data.scan_set import ScanSet
from harmbench.data.scans import Grid

_AXIAL = (
    0.06,
    0.28,
    0.5,
    0.72,
    0.94,
)  # positions of the axial slices, from the lowest to the highest
_GAP = 2  # pixels between two pictures
_WIDTH = 7.0  # inches of a scan's row
_COLUMNS = 2


def contact_sheet(cohort: Cohort, most: int) -> Figure:
    """Draw every scan as a row: five axial slices, a coronal and a sagittal one.

    All are upright: the front of the head, or its top, is up; in axial and coronal slices
    the left of the subject is on the left, and in sagittal ones the face looks to the right.

    Parameters
    ----------
    cohort
        The cohort.
    most
        Maximum number of scans. If the cohort has more, every domain has an equal number, with
        doubtful scans first and the others evenly over its subjects.
    """
    domains = (cohort.target, *cohort.sources)
    chosen = [
        (domain, scans, index)
        for domain in domains
        for scans in [cohort.scans(domain)]
        for index in _chosen(cohort, domain, most // len(domains))
    ]
    strips = [_strip(scans, index) for _, scans, index in chosen]
    lines = -(-len(strips) // _COLUMNS)
    height = _WIDTH * strips[0].shape[0] / strips[0].shape[1] + 0.2
    figure = Figure(figsize=(_COLUMNS * _WIDTH, lines * height + 0.4), facecolor="white")
    FigureCanvasAgg(figure)
    whole = lines * height + 0.4
    for i, ((domain, scans, index), strip) in enumerate(zip(chosen, strips, strict=True)):
        # Down the first column, then down the second.
        column, line = divmod(i, lines)
        bottom = (whole - 0.4 - (line + 1) * height) / whole
        area = (column / _COLUMNS + 0.004, bottom, 0.992 / _COLUMNS, (height - 0.2) / whole)
        axis = figure.add_axes(area)
        axis.imshow(strip, cmap="gray", vmin=0, vmax=1, interpolation="nearest", aspect="auto")
        axis.set_axis_off()
        scan = scans.scans[index]
        axis.set_title(
            f"{scan.subject} / {scan.session} / {domain}", fontsize=8, loc="left", pad=1.5
        )
    total = len(cohort.table)
    count = f"{total} scans" if len(chosen) == total else f"{len(chosen)} of {total} scans"
    figure.text(
        0.004,
        1 - 0.25 / whole,
        f"{cohort.name} [{kind_of_scans(cohort.kind)}], {cohort.grid.name} grid, "
        f"{cohort.normalization}, {count}",
        fontsize=10,
    )
    return figure


def _chosen(cohort: Cohort, domain: str, most: int) -> list[int]:
    """Return the indices of the scans of a domain to show, in ascending order."""
    table = cohort.table[cohort.table["domain"] == domain]
    doubtful = [bool(details.get("doubtful")) for details in table["details"]]
    order = sorted(range(len(table)), key=lambda index: not doubtful[index])
    if len(order) <= most:
        return sorted(order)
    first = order[: min(sum(doubtful), most)]
    rest = order[len(first) :]
    indices = np.linspace(0, len(rest) - 1, most - len(first)).round().astype(int)
    return sorted([*first, *(rest[index] for index in indices)])


def _strip(scans: ScanSet, index: int) -> npt.NDArray[np.float32]:
    """Return the pictures of a scan side by side, in pixels as wide as the grid's."""
    image = scans.load([index]).images[0].numpy()
    S, H, W = image.shape
    panels = [upright(image[round(part * (S - 1))]) for part in _AXIAL]
    coronal = image[:, :, W // 2]
    sagittal = image[:, H // 2, :]
    panels += [_square(panel, scans.grid)[::-1] for panel in (coronal, sagittal)]
    height = max(panel.shape[0] for panel in panels)
    padded = []
    for panel in panels:
        above = (height - panel.shape[0]) // 2
        below = height - panel.shape[0] - above
        padded.append(np.pad(panel, ((above, below), (_GAP, _GAP))))
    strip: npt.NDArray[np.float32] = np.hstack(padded)
    return strip


def _square(panel: npt.NDArray[np.float32], grid: Grid) -> npt.NDArray[np.float32]:
    """Stretch a picture whose rows are slices to the pixels of the others."""
    from scipy import ndimage

    ratio = grid.spacing[0] / grid.spacing[1]
    stretched: npt.NDArray[np.float32] = ndimage.zoom(panel, (ratio, 1), order=1)
    return stretched
