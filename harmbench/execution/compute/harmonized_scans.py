"""Harmonising the test scans of a cell: in batches, or whole volumes scan by scan."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from harmbench.contracts.cell import Cell
from harmbench.contracts.method import Method
from harmbench.contracts.scorer import ScoringContext
from harmbench.contracts.volume_method import VolumeMethod
from harmbench.data.scans import Scans
from harmbench.execution.compute.apply import beside_slices, harmonized_by, received_volumes
from harmbench.execution.compute.cell_facts import CellFacts
from harmbench.execution.compute.kept_outputs import KeptOutputs
from harmbench.util import device as devices
from harmbench.util import memory

Harmonized = tuple[Scans, Scans, Scans | None]


def harmonized_scans(
    method: Method, context: ScoringContext, cell: Cell, facts: CellFacts, outputs: Path
) -> Iterator[Harmonized]:
    """Yield source scans, harmonised scans and their truth, for all test scans in order.

    Parameters
    ----------
    method, context, cell, facts
        The method on its device, the data, the cell, and where its facts are added.
    outputs
        Folder in which the outputs of a method on volumes are kept until the cell is stored, so
        that a cell that was killed, or that failed at a scan, resumes at that scan.
    """
    if isinstance(method, VolumeMethod):
        yield from _scan_by_scan(method, context, cell, facts, KeptOutputs(outputs))
        return
    size, count = devices.scans_per_batch(context.device), len(context.data.test)
    for start in context.progress.track(range(0, count, size), cell.title):
        yield from _batch(method, context, cell, range(start, min(start + size, count)), facts)


def _scan_by_scan(
    method: VolumeMethod,
    context: ScoringContext,
    cell: Cell,
    facts: CellFacts,
    outputs: KeptOutputs,
) -> Iterator[Harmonized]:
    test, began = context.data.test, time.perf_counter()
    missing = [place for place in range(len(test)) if place not in outputs]
    volumes = received_volumes(method, test.subset(missing), context.seed, context.data.domain)
    with method.together(volumes):
        facts.harmonizing += time.perf_counter() - began
        for place in context.progress.track(range(len(test)), cell.title):
            source = test.load([place])
            kept = outputs.load(place, source)
            if kept is not None:
                harmonized, seconds = kept
            else:
                began = time.perf_counter()
                beside = beside_slices(method, test.subset([place]), context.data.domain)
                harmonized = harmonized_by(
                    method, source, None, context.seed, context.device, beside
                )
                seconds = time.perf_counter() - began
                outputs.save(place, harmonized, seconds)
            facts.harmonizing += seconds
            yield source, harmonized, _truth(context, [place])


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
