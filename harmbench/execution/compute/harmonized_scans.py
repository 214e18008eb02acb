"""Harmonising the test scans of a cell: in batches, or whole volumes scan by scan."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from harmbench.contracts.cell import Cell
from harmbench.contracts.method import Method
from harmbench.contracts.scorer import ScoringContext
from harmbench.contracts.volume_method import VolumeMethod
from harmbench.data.scans import Scans
from harmbench.execution.compute.apply import beside_slices, harmonized_by
from harmbench.execution.compute.cell_facts import CellFacts
from harmbench.execution.compute.harmonized_volumes import harmonize_volumes
from harmbench.execution.compute.kept_outputs import KeptOutputs
from harmbench.util import device as devices
from harmbench.util import memory

Harmonized = tuple[Scans, Scans, Scans | None]


def harmonized_scans(
    method: Method, context: ScoringContext, cell: Cell, facts: CellFacts, outputs: Path
) -> tuple[ScoringContext, Iterator[Harmonized]]:
    """Harmonise the test scans, and return the context of those with an output.

    Slices are harmonised batch by batch, while the caller consumes them. Whole volumes are
    harmonised before this function returns, since a command may fail on some of them.

    Parameters
    ----------
    method, context, cell, facts
        The method on its device, the data, the cell, and where its facts are added.
    outputs
        Folder in which the outputs of a method on volumes are kept until all scans have one, so
        that a cell that was killed, or that failed at a scan, resumes at that scan.

    Returns
    -------
    ScoringContext
        The context without the scans on which a command failed; those are in `facts`.
    Iterator
        Source scans, harmonised scans and their truth, for the test scans of this context.

    Raises
    ------
    CommandError
        If a command failed on all scans.
    """
    if isinstance(method, VolumeMethod):
        kept = KeptOutputs(outputs)
        facts.failed_scans(harmonize_volumes(method, context, cell, facts, kept), context.data.test)
        places = [place for place in range(len(context.data.test)) if place in kept]
        chosen = replace(context, data=context.data.of_test_scans(places))
        return chosen, _kept(chosen, kept, places, facts)
    return context, _batches(method, context, cell, facts)


def _kept(
    context: ScoringContext, outputs: KeptOutputs, places: list[int], facts: CellFacts
) -> Iterator[Harmonized]:
    """Yield the kept outputs at `places` of the folder, one for each test scan."""
    for number, place in enumerate(places):
        source = context.data.test.load([number])
        harmonized, seconds = outputs.load(place, source)
        facts.harmonizing += seconds
        yield source, harmonized, _truth(context, [number])


def _batches(
    method: Method, context: ScoringContext, cell: Cell, facts: CellFacts
) -> Iterator[Harmonized]:
    size, count = devices.scans_per_batch(context.device), len(context.data.test)
    for start in context.progress.track(range(0, count, size), cell.title):
        yield from _batch(method, context, cell, range(start, min(start + size, count)), facts)


def _batch(
    method: Method, context: ScoringContext, cell: Cell, indices: range, facts: CellFacts
) -> Iterator[Harmonized]:
    """Harmonise the scans at `indices`; in parts if memory runs out."""
    data, device = context.data, context.device
    while indices:
        part = indices[: facts.facts.get("scans_at_once", len(indices))]
        source = data.test.load(part)
        for_control = data.shown(method.needs)
        shown = None if for_control is None else for_control.load(part)
        began = time.perf_counter()
        try:
            beside = beside_slices(method, data.test.subset(part), data.domain)
            harmonized = harmonized_by(method, source, shown, context.seed, device, beside)
        except Exception as error:
            if not memory.ran_out(error) or len(part) == 1:
                raise
            facts.facts["scans_at_once"] = len(part) // 2
        else:
            facts.harmonizing += time.perf_counter() - began
            yield source, harmonized, _truth(context, part)
            indices = indices[len(part) :]
            continue
        # Outside the handler: the error and all tensors that it refers to are gone.
        memory.release(device)
        context.progress.log(
            f"{cell.title}: out of memory; continuing with {len(part) // 2} scans at once"
        )


def _truth(context: ScoringContext, places: range | list[int]) -> Scans | None:
    """Load the truth; only after harmonising, so that a method cannot find it in memory."""
    references = context.data.references
    return None if references is None else references.load(places)
