"""The log of a run: a line for each cell, and one for the skipped cells of a task."""

from __future__ import annotations

from harmbench.api.cell_lines import CellLines
from harmbench.contracts.cell import CellResult, Status
from harmbench.util.progress import Silent
from helpers.bundles import BASE
from helpers.scored_cells import cell, scored


class Kept(Silent):
    """Keeps what is logged."""

    def __init__(self):
        self.lines = []

    def log(self, text):
        self.lines.append(text)


def skipped(reason):
    return CellResult(status=Status.SKIPPED, reason=reason)


def test_the_skipped_cells_of_a_task_have_one_line():
    kept = Kept()
    lines = CellLines(kept)
    ended = [
        *((cell(f"m{k}", "age"), skipped("no ages")) for k in range(5)),
        (cell("m0", "sim"), CellResult(**{**vars(scored(psnr=BASE)), "status": Status.CACHED})),
        (cell("m0", "order"), skipped("few subjects")),
        (cell("m1", "order"), skipped("needs pairs")),
        *((cell("m0", "age", seed=seed), skipped("no ages")) for seed in (1, 2)),
        (cell("m1", "sim"), scored(psnr=BASE)),
        (cell("m2", "age"), skipped("no ages")),
    ]
    for number, (which, result) in enumerate(ended, start=1):
        result.facts.setdefault("test_scans", 8)
        lines.add(number, len(ended), which, result)
    lines.end()
    assert kept.lines == [
        "[1/12] cached   m0 on sim, seed 0: psnr 23.5",
        "[8/12] skipped  m0, m1, m2 and 2 more on age (7 cells): no ages",
        "[9/12] skipped  m0 on order, seed 0: few subjects",
        "[10/12] skipped  m1 on order, seed 0: needs pairs",
        "[11/12] done     m1 on sim, seed 0: psnr 23.5",
        "[12/12] skipped  m2 on age, seed 0: no ages",
    ]
