"""Draw a figure of one cell; its fit is taken from the store, or made now."""

from __future__ import annotations

from pathlib import Path

import torch
from matplotlib.figure import Figure

from harmbench.contracts.figure import FigureContext, PaperFigure
from harmbench.errors import UserError
from harmbench.execution.compute.runner import Runner
from harmbench.execution.plan.plan import make_plan
from harmbench.execution.plan.selection import Selection
from harmbench.plugins import Registry
from harmbench.util.progress import Progress
from harmbench.util.seeds import seeded


def draw_figure(
    registry: Registry,
    drawing: PaperFigure,
    selection: Selection,
    home: Path,
    device: torch.device,
    progress: Progress,
) -> Figure:
    """Draw a figure of the only cell of a selection.

    Raises
    ------
    UserError
        If the selection is not one cell, or the cell cannot be computed.
    """
    if len(selection.variants) * len(selection.tasks) != 1:
        raise UserError("a figure shows one method and one task; give their full names")
    plan = make_plan(registry, selection, home, progress)
    (planned,) = plan.cells
    cell, data = planned.cell, planned.data
    if cell.skip is not None or data is None:
        raise UserError(f"no figure of {cell.title}: {cell.skip or planned.fault}")
    runner = Runner(registry=registry, home=home, device=device, progress=progress)
    context = FigureContext(
        cell=cell,
        method=planned.method,
        config=planned.config,
        cohort=plan.cohort,
        data=data,
        fitted=lambda: runner.fitted(planned),
        t2_weighted=lambda subject: selection.source.t2_weighted(subject, selection.grid),
        progress=progress,
    )
    with torch.no_grad(), seeded(cell.seed, "figure", drawing.name):
        return drawing.draw(context)
