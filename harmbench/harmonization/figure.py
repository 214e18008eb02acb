"""Figure of a scan before and after harmonisation, in three planes."""

from __future__ import annotations

import io

import numpy as np
import numpy.typing as npt

from harmbench.data.display import upright
from harmbench.preprocessing.nifti_read import Array, Volume

_PLANES = ("sagittal", "coronal", "axial")


def before_after(before: Volume, after: Array, changed: npt.NDArray[np.bool_], title: str) -> bytes:
    """Draw a scan before and after, and the difference, through the middle of the changed region.

    Before and after share one grey window, so that a change of intensity scale is visible.

    Parameters
    ----------
    before, after
        The scan, and its voxels afterwards: `(X, Y, Z)` in canonical orientation.
    changed
        `(X, Y, Z)` bool, true for at least one voxel.
    title
        Title of the figure.

    Returns
    -------
    bytes
        A PNG file.
    """
    # Here, since most scans of a folder are written by workers, and often without a figure.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    centre = [
        int(np.median(np.flatnonzero(changed.any(axis=others))))
        for others in ((1, 2), (0, 2), (0, 1))
    ]
    # Black is zero, except in a scan with negative intensities.
    black = min(0.0, float(np.percentile(before.data[changed], 0.5)))
    white = float(np.percentile(before.data[changed], 99.5))
    limit = 0.3 * (white - black)
    figure = Figure(figsize=(10, 10))
    FigureCanvasAgg(figure)
    rows = (
        ("before", before.data, "gray", black, white),
        ("after", after, "gray", black, white),
        ("after − before", after - before.data, "RdBu_r", -limit, limit),
    )
    for i, (name, data, cmap, low, high) in enumerate(rows):
        for axis, plane in enumerate(_PLANES):
            panel = figure.add_axes((0.04 + 0.285 * axis, 0.635 - 0.31 * i, 0.275, 0.295))
            across, up = (size for k, size in enumerate(before.voxel_size) if k != axis)
            image = upright(np.take(data, centre[axis], axis=axis))
            shown = panel.imshow(image, aspect=up / across, cmap=cmap, vmin=low, vmax=high)
            panel.set_axis_off()
            if i == 0:
                figure.text(0.1775 + 0.285 * axis, 0.935, plane, ha="center", fontsize=9)
        figure.text(0.015, 0.7825 - 0.31 * i, name, rotation=90, va="center", fontsize=9)
        scale = figure.add_axes((0.91, 0.68 - 0.31 * i, 0.012, 0.2))
        figure.colorbar(shown, cax=scale)
    figure.suptitle(title, fontsize=10)
    png = io.BytesIO()
    figure.savefig(png, format="png", dpi=110)
    return png.getvalue()
