"""What `blindcurve` changed of a scan: the curve, the field, and the scan before and after."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from torch import Tensor

from harmbench import FigureContext, PaperFigure, Scans, UserError, upright

from .maps import Map
from .method import BlindCurve

ROWS = 3


class Maps(PaperFigure):
    """The map of three test scans: the least changed, the one in the middle and the most."""

    name = "maps"
    summary = "the curve and the field that blindcurve maps scans by, and what they do"
    method = "blindcurve"
    tasks = ("sim-bias", "domain1")

    def draw(self, context: FigureContext) -> Figure:
        """Draw one row a scan."""
        if not issubclass(context.method, BlindCurve):
            raise UserError(
                f"figure '{self.name}' shows what blindcurve changes, and "
                f"'{context.cell.method}' has no such maps; leave out --method"
            )
        method, test = context.fitted(), context.data.test
        assert isinstance(method, BlindCurve)
        maps_of_scans, change = [], []
        for n in context.progress.track(range(len(test)), "maps"):
            scan = test.load([n])
            scan_map = method.maps(scan.to(method.device))[0]
            harmonized, _ = self._applied(method, scan_map, scan)
            maps_of_scans.append(scan_map)
            change.append(float((harmonized - scan.images[0]).square().mean()))
        order = np.argsort(change, kind="stable")
        rows = order[np.unique(np.linspace(0, len(order) - 1, ROWS).round().astype(int))]
        figure = Figure(figsize=(15.0, 3.1 * len(rows) + 1.0))
        FigureCanvasAgg(figure)
        grid = figure.subplots(
            len(rows),
            5,
            squeeze=False,
            gridspec_kw={
                "left": 0.1,
                "right": 0.94,
                "bottom": 0.55 / figure.get_figheight(),
                "top": 1 - 0.95 / figure.get_figheight(),
                "wspace": 0.4,
                "hspace": 0.25,
            },
        )
        for axes, n in zip(grid, rows, strict=True):
            self._row(axes, context, method, maps_of_scans[n], int(n))
        for axis, title in zip(
            grid[0],
            ("source", "bias field found", "curve", "harmonised", "changed by"),
            strict=True,
        ):
            axis.set_title(title, fontsize=10)
        figure.suptitle(
            f"What blindcurve changes: {context.cell.task}\n{context.origin}", fontsize=11
        )
        return figure

    @staticmethod
    def _applied(method: BlindCurve, scan_map: Map, scan: Scans) -> tuple[Tensor, Tensor]:
        """Return the harmonised image of one scan and the logarithm of its field: `(S, H, W)`."""
        image, mask = (x[0].to(method.device) for x in (scan.images, scan.masks))
        log_field = method.cosines.field(scan_map.field, method.grid.shape)
        return scan_map(image, mask, log_field).cpu(), log_field.cpu()

    def _row(
        self, axes: np.ndarray, context: FigureContext, method: BlindCurve, scan_map: Map, n: int
    ) -> None:
        scan = context.data.test.load([n])
        image, mask = scan.images[0], scan.masks[0]
        middle = len(image) // 2
        harmonized, log_field = self._applied(method, scan_map, scan)
        field = torch.where(mask, log_field.exp(), torch.nan)
        grey: dict[str, Any] = {"cmap": "gray", "vmin": 0.0, "vmax": 1.0}
        split: dict[str, Any] = {"cmap": "RdBu_r", "vmin": -0.3, "vmax": 0.3}
        shown = (
            image[middle],
            field[middle],
            None,
            harmonized[middle],
            (harmonized - image)[middle],
        )
        factors: dict[str, Any] = {"cmap": "PuOr_r", "vmin": 0.6, "vmax": 1.4}
        scales: tuple[dict[str, Any], ...] = (grey, factors, {}, grey, split)
        for axis, picture, scale in zip(axes, shown, scales, strict=True):
            if picture is not None:
                drawn = axis.imshow(upright(picture.numpy()), **scale)
                axis.set_xticks([])
                axis.set_yticks([])
                if scale is not grey:
                    axis.figure.colorbar(drawn, ax=axis, fraction=0.05, pad=0.02)
        _curves(axes[2], scan_map, method.histogram.knots)
        name = scan.subjects[0]
        if scan_map.flag:
            axes[0].set_xlabel(f"flagged: {scan_map.flag}", fontsize=8, wrap=True, loc="left")
        axes[0].set_ylabel(name, rotation=0, ha="right", va="center", labelpad=6, fontsize=10)


def _curves(axis: Axes, scan_map: Map, knots: Tensor) -> None:
    """Draw the scan's curve, the match to the population's quantiles `(K,)`, and no curve."""
    axis.plot([0, 1], [0, 1], color="0.7", linewidth=1, label="no change")
    for heights, colour, label in (
        (knots, "#e69f00", "population's quantiles"),
        (scan_map.y, "#0072b2", "applied"),
    ):
        axis.plot(scan_map.x.cpu(), heights.cpu(), color=colour, label=label)
    axis.set_xlim(0, 1)
    axis.set_ylim(0, 1)
    axis.set_aspect("equal")
    axis.set_xlabel("source, field divided out", fontsize=8)
    axis.tick_params(labelsize=8)
    axis.legend(fontsize=7, frameon=False)
