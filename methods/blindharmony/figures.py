"""Figures 1 and 2 of the paper's supplement, drawn of our fits and scans."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import ListedColormap, LogNorm
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from torch import Tensor

from harmbench import FigureContext, PaperFigure, UserError, torch_generator, upright

from .flow.flow import Flow
from .method import BlindHarmony
from .terms import non_edge_mask

Image = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

TEMPERATURES = (0.5, 0.7, 0.85, 1.0)
COLUMNS = 8
VALIDATION_SLICES = 50

# Outside the brain, an edge in both, and no edge: in the source, in the target, in both.
# Colour-blind readers can distinguish blue and orange (Okabe and Ito).
COLOURS = ("black", "#4d4d4d", "#e69f00", "#0072b2", "#f7f7f7")


def _require_blindharmony(context: FigureContext, name: str) -> None:
    if not issubclass(context.method, BlindHarmony):
        raise UserError(
            f"figure '{name}' shows parts of blindharmony, which '{context.cell.method}' has not; "
            "leave out --method"
        )


def _show(axis: Axes, image: Image) -> None:
    axis.imshow(upright(image), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    _bare(axis)


def _bare(axis: Axes) -> None:
    axis.set_xticks([])
    axis.set_yticks([])
    for side in axis.spines.values():
        side.set_visible(False)


class Samples(PaperFigure):
    """Slices drawn from the fitted flow at several temperatures, below real ones (Figure 1)."""

    name = "samples"
    summary = "slices drawn from the flow at several temperatures, below real ones (Figure 1)"
    method = "blindharmony"
    tasks = ("sim-exp",)

    def draw(self, context: FigureContext) -> Figure:
        """Draw one row of training slices of the target and one for each temperature."""
        _require_blindharmony(context, self.name)
        method = context.fitted()
        assert isinstance(method, BlindHarmony)
        flow, seed = method.flow, context.cell.seed
        rows = [("training\nslices", self._real(context))]
        for temperature in context.progress.track(TEMPERATURES, "samples of the flow"):
            # Of one stream for all temperatures: a column is one draw, ever further out.
            generator = torch_generator(seed, "figure", self.name)
            drawn = flow.sample(COLUMNS, generator, temperature)
            rows.append((f"temperature\n{temperature}", drawn.float().cpu()))
        _, H, W = method.grid.shape
        width = 1.25
        height = width * W / H
        figure = Figure(figsize=(COLUMNS * width + 1.1, len(rows) * height + 0.75))
        FigureCanvasAgg(figure)
        grid = figure.subplots(
            len(rows),
            COLUMNS,
            gridspec_kw={
                "left": 1.05 / figure.get_figwidth(),
                "right": 0.995,
                "bottom": 0.008,
                "top": 1 - 0.65 / figure.get_figheight(),
                "wspace": 0.03,
                "hspace": 0.03,
            },
        )
        for axes, (label, images) in zip(grid, rows, strict=True):
            axes[0].set_ylabel(label, rotation=0, ha="right", va="center", labelpad=6, fontsize=10)
            for axis, image in zip(axes, images, strict=True):
                _show(axis, image.numpy())
        figure.suptitle(
            f"Samples of {context.cell.label}'s flow of the target domain\n"
            f"{context.origin}{self._bits(flow, context)}",
            fontsize=11,
        )
        return figure

    def _real(self, context: FigureContext) -> Tensor:
        """Return training slices `(COLUMNS, H, W)` of subjects and heights spread evenly."""
        target = context.data.target
        S = target.grid.shape[0]
        scan = torch.linspace(0, len(target) - 1, COLUMNS).round().long()
        index = torch.linspace(0.1 * S, 0.9 * S, COLUMNS).long()
        return target.slices(scan * S + index)

    @torch.no_grad()
    def _bits(self, flow: Flow, context: FigureContext) -> str:
        """Return the bits per dimension of validation slices as text, if there are any."""
        scans = context.data.validation
        if not len(scans):
            return ""
        generator = torch_generator(context.cell.seed, "figure", self.name, "validation")
        chosen = torch.randperm(scans.n_slices, generator=generator)[:VALIDATION_SLICES]
        x = scans.slices(chosen)
        u = torch.rand(x.shape, generator=generator)
        like = next(flow.parameters())
        bits = flow.bits_per_dimension(x.to(like), u.to(like)).mean()
        return f"; {float(bits):.2f} bits/dim on {len(x)} validation slices"


def _flat(image: Tensor, brain: Mask, config: Any) -> Mask:
    """Return the mask of the pixels without edges in one slice `(H, W)` of a brain."""
    masks = non_edge_mask(
        image[None],
        torch.from_numpy(brain)[None],
        quantile=config.mask_quantile,
        threshold=config.mask_threshold,
    )
    flat: Mask = masks[0].any(dim=0).numpy()
    return flat & brain


def _around(brain: Mask) -> tuple[slice, slice]:
    """Return the part of a slice that holds the brain, with a few pixels around it."""
    sides = []
    for axis in (1, 0):
        occupied = np.flatnonzero(brain.any(axis=axis))
        sides.append(slice(max(int(occupied[0]) - 3, 0), int(occupied[-1]) + 4))
    return sides[0], sides[1]


def cosine(a: Image, b: Image) -> float:
    """Return the correlation of Eq. 1, over the whole slice and not centred."""
    return float((a * b).sum() / max(float(np.linalg.norm(a) * np.linalg.norm(b)), 1e-12))


def pearson(a: Image, b: Image, brain: Mask) -> float:
    """Return Pearson's correlation within the brain; NaN where either is constant."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return float(np.corrcoef(a[brain], b[brain])[0, 1])


def dice(a: Mask, b: Mask, brain: Mask) -> tuple[float, float]:
    """Return the Dice overlap of two masks, and its value by chance.

    Chance is the expected overlap of masks that cover as much of the brain, each placed
    without regard to the other: `2 p q / (p + q)` for coverages p and q.
    """
    p, q = float(a[brain].mean()), float(b[brain].mean())
    if p + q == 0:
        return float("nan"), float("nan")
    both = float((a & b)[brain].mean())
    return 2 * both / (p + q), 2 * p * q / (p + q)


class Terms(PaperFigure):
    """The two data terms on a pair of scans of one subject (Figure 2).

    The first row is a pair of one contrast, for which both terms hold. The second has a
    T2-weighted image instead of the target: a case that fails, according to the paper.
    """

    name = "terms"
    summary = "what Eq. 1 and Eq. 2 see of a pair, and of T1 against T2, which fails (Figure 2)"
    method = "blindharmony"
    tasks = ("domain3", "sim-bias")

    def draw(self, context: FigureContext) -> Figure:
        """Draw the middle slice of the first test scan that has a partner."""
        _require_blindharmony(context, self.name)
        data, cell = context.data, context.cell
        if data.references is None or not len(data.test):
            raise UserError(
                f"figure '{self.name}' needs scans of one subject on both scanners, which "
                f"'{cell.task}' has not; try --task sim-bias"
            )
        source, target = data.test.load([0]), data.references.load([0])
        subject = source.subjects[0]
        rows = [(f"T1w and T1w:\n{cell.task}\nand target", source.images[0], target.images[0])]
        t2 = context.t2_weighted(subject)
        if t2 is not None:
            rows.append((f"T1w and T2w:\n{cell.task} and\na T2w image", source.images[0], t2))
        brain = (source.masks[0] & target.masks[0]).numpy()
        figure = Figure(figsize=(15.2, 3.05 * len(rows) + 1.5))
        FigureCanvasAgg(figure)
        height = figure.get_figheight()
        # The empty sixth column is room for the scatter's scale.
        spec = figure.add_gridspec(
            len(rows),
            7,
            width_ratios=(1, 1, 1, 1, 1, 0.17, 1.25),
            left=0.095,
            right=0.985,
            bottom=0.75 / height,
            top=1 - 1.05 / height,
            wspace=0.06,
            hspace=0.42,
        )
        grid = [
            [figure.add_subplot(spec[row, column]) for column in (0, 1, 2, 3, 4, 6)]
            for row in range(len(rows))
        ]
        for axes, (label, x_s, x_t) in zip(grid, rows, strict=True):
            self._row(axes, x_s, x_t, brain, context.config)
            axes[0].set_ylabel(label, rotation=0, ha="right", va="center", labelpad=6, fontsize=10)
        titles = ("source", "target", "non-edges of source", "non-edges of target", "overlap")
        for axis, title in zip(grid[0], titles, strict=False):
            axis.set_title(f"{title}\n{axis.get_title()}".strip(), fontsize=10)
        names = ("edge in both", "no edge: source alone", "target alone", "both")
        figure.legend(
            handles=[
                Patch(facecolor=colour, edgecolor="black", linewidth=0.5, label=name)
                for colour, name in zip(COLOURS[1:], names, strict=True)
            ],
            loc="lower center",
            bbox_to_anchor=(0.5, 0.0),
            ncols=4,
            frameon=False,
            fontsize=9,
        )
        missing = "" if t2 is not None else "; the cohort has no T2w image for the failing case"
        figure.suptitle(
            f"What Eq. 1 and Eq. 2 see: {cell.task}, subject {subject}, middle slice\n"
            f"{context.origin}{missing}",
            fontsize=11,
        )
        return figure

    def _row(
        self, axes: Sequence[Axes], source: Tensor, target: Tensor, brain: Mask, config: Any
    ) -> None:
        """Draw the middle slice of two scans `(S, H, W)` into six panels."""
        middle = len(source) // 2
        within = brain[middle]
        x_s, x_t = source[middle].numpy(), target[middle].numpy()
        window = _around(within)
        flat_s, flat_t = (_flat(x[middle], within, config) for x in (source, target))
        for axis, image in zip(axes, (x_s, x_t, flat_s, flat_t), strict=False):
            _show(axis, image[window])
        kinds = np.where(within, 1 + flat_s + 2 * flat_t.astype(int), 0)
        axes[4].imshow(
            upright(kinds[window]),
            cmap=ListedColormap(COLOURS),
            vmin=0,
            vmax=4,
            interpolation="nearest",
        )
        _bare(axes[4])
        overlap, chance = dice(flat_s, flat_t, within)
        axes[4].set_title(f"Dice {overlap:.2f}, by chance {chance:.2f}", fontsize=10)
        self._scatter(axes[5], x_s, x_t, within)
        correlations = [
            pearson(a, b, mask)
            for a, b, mask in zip(source.numpy(), target.numpy(), brain, strict=True)
        ]
        axes[5].set_title(
            f"r = {pearson(x_s, x_t, within):.2f} in the brain\n"
            f"(median of all slices {np.nanmedian(correlations):.2f})\n"
            f"cosine of Eq. 1 = {cosine(x_s, x_t):.2f}",
            fontsize=10,
        )

    def _scatter(self, axis: Axes, x_s: Image, x_t: Image, brain: Mask) -> None:
        edges = np.linspace(0, 1, 65)
        axis.hist2d(x_s[brain], x_t[brain], bins=[edges, edges], cmap="viridis", norm=LogNorm())
        axis.set_aspect("equal")
        axis.set_xlabel("source", fontsize=9, labelpad=-6)
        axis.set_ylabel("target", fontsize=9, labelpad=-3)
        axis.set_xticks([0, 1])
        axis.set_yticks([0, 1])
        axis.tick_params(labelsize=8)
