"""Harmonising the test scans of a cell: in batches, or whole volumes scan by scan."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import replace

from harmbench.contracts.cell import Cell
from harmbench.contracts.method import Method
from harmbench.contracts.scorer import ScoringContext
from harmbench.contracts.volume_method import VolumeMethod
from harmbench.data.scans import Scans
from harmbench.execution.compute.apply import beside_slices, harmonized_by
from harmbench.execution.compute.cell_facts import CellFacts
from harmbench.execution.compute.harmonized_volumes import harmonize_volumes
from harmbench.execution.compute.kept_outputs import KeptOutputs
from harmbench.execution.plan.durations import WORTH_KEEPING
from harmbench.util import device as devices
from harmbench.util import memory

Harmonized = tuple[Scans, Scans, Scans | None]


def harmonized_scans(
    method: Method, context: ScoringContext, cell: Cell, facts: CellFacts, outputs: KeptOutputs
) -> tuple[ScoringContext, Iterator[Harmonized]]:
    """Harmonise the test scans, and return the context of those with an output.

    Slices are harmonised batch by batch, while the caller consumes them. Whole volumes are
    harmonised before this function returns, since a command may fail on some of them. Scans that
    another cell with the same outputs has harmonised are not harmonised again.

    Parameters
    ----------
    method, context, cell, facts
        The method on its device, the data, the cell, and where its facts are added.
    outputs
        All outputs of a method on volumes are kept, and those on slices that took longer than to
        read them. So a cell that was killed, or that failed at a scan, resumes at that scan.

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
        failed = harmonize_volumes(method, context, cell, facts, outputs)
        facts.failed_scans(failed, context.data.test)
        places = [place for place in range(len(context.data.test)) if place in outputs]
        chosen = replace(context, data=context.data.of_test_scans(places))
        return chosen, _kept(chosen, outputs, places, facts)
    facts.facts["scans_reused"] = 0
    return context, _batches(method, context, cell, facts, outputs)


def _kept(
    context: ScoringContext, outputs: KeptOutputs, places: list[int], facts: CellFacts
) -> Iterator[Harmonized]:
    """Yield the kept outputs at `places` of the folder, one for each test scan."""
    for number, place in enumerate(places):
        kept = outputs.load([place])
        assert kept is not None
        images, flags, seconds = kept
        facts.harmonizing += seconds
        source = context.data.test.load([number])
        yield source, replace(source, images=images, flags=flags), _truth(context, [number])


def _batches(
    method: Method,
    context: ScoringContext,
    cell: Cell,
    facts: CellFacts,
    outputs: KeptOutputs,
) -> Iterator[Harmonized]:
    # As for volumes: see `KeptOutputs`.
    of_others = KeptOutputs(outputs.shared) if outputs.shared and outputs.checked else None
    size, count = devices.scans_per_batch(context.device), len(context.data.test)
    for start in context.progress.track(range(0, count, size), cell.title):
        indices = range(start, min(start + size, count))
        kept = outputs.load(indices)
        if kept is None and of_others is not None:
            kept = of_others.load(indices)
            if kept is not None:
                facts.facts["scans_reused"] += len(indices)
        if kept is None:
            yield from _batch(method, context, cell, indices, facts, outputs)
            continue
        images, flags, seconds = kept
        facts.harmonizing += seconds
        source = context.data.test.load(indices)
        yield source, replace(source, images=images, flags=flags), _truth(context, indices)


def _batch(
    method: Method,
    context: ScoringContext,
    cell: Cell,
    indices: range,
    facts: CellFacts,
    outputs: KeptOutputs,
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
            seconds = time.perf_counter() - began
            facts.harmonizing += seconds
            if seconds > WORTH_KEEPING * len(part):
                with contextlib.suppress(OSError):  # the disk is full: a killed cell starts again
                    outputs.save(part[0], harmonized, seconds)
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
