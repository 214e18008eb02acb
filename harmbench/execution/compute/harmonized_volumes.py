"""Harmonising whole test scans one by one, where a command may fail on some of them."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from harmbench.contracts.cell import Cell
from harmbench.contracts.scorer import ScoringContext
from harmbench.contracts.volume_method import VolumeMethod
from harmbench.errors import CommandError
from harmbench.execution.compute.apply import beside_slices, harmonized_by, received_volumes
from harmbench.execution.compute.cell_facts import CellFacts
from harmbench.execution.compute.kept_outputs import KeptOutputs

# A program that cannot work at all fails on the first scans, perhaps each time at its time limit.
_MOST_FAILURES = 3


def harmonize_volumes(
    method: VolumeMethod,
    context: ScoringContext,
    cell: Cell,
    facts: CellFacts,
    outputs: KeptOutputs,
) -> Mapping[int, str]:
    """Harmonise the test scans that have no kept output, and keep their outputs.

    Parameters
    ----------
    method, context, cell, facts
        As of `harmonized_scans`.
    outputs
        The kept outputs, by place of the test scan.

    Returns
    -------
    Mapping
        Why a command failed, by place of the test scan.

    Raises
    ------
    CommandError
        If it failed on all scans, or on the first three and no scan has an output.
    """
    test, domain, began = context.data.test, context.data.domain, time.perf_counter()
    needed = [place for place in range(len(test)) if place not in outputs]
    facts.facts["scans_reused"] = len(test) - len(needed)
    failures = _Failures(context, cell, len(test), begun=len(needed) < len(test))
    with method.together(received_volumes(method, test.subset(needed), context.seed, domain)):
        together = time.perf_counter() - began
        for place in context.progress.track(needed, cell.title):
            began, source = time.perf_counter(), test.load([place])
            beside = beside_slices(method, test.subset([place]), domain)
            try:
                harmonized = harmonized_by(
                    method, source, None, context.seed, context.device, beside
                )
            except CommandError as error:
                failures.add(place, error)
                continue
            seconds = time.perf_counter() - began + together / len(needed)
            outputs.save(place, harmonized, seconds)
            failures.report()
    failures.require_an_output()
    return {place: error.reason for place, error in failures.errors.items()}


@dataclass
class _Failures:
    """The scans on which a command failed: one message each, or one for all of them.

    Attributes
    ----------
    begun
        Whether a scan has an output.
    """

    context: ScoringContext
    cell: Cell
    scans: int
    begun: bool
    errors: dict[int, CommandError] = field(default_factory=dict)
    _reported: int = 0

    def add(self, place: int, error: CommandError) -> None:
        self.errors[place] = error
        if self.begun:
            self.report()
        elif len(self.errors) == _MOST_FAILURES:
            self.require_an_output()

    def report(self) -> None:
        """Show the failures that were not shown yet, after a scan has an output."""
        self.begun = True
        for error in [*self.errors.values()][self._reported :]:
            self.context.progress.log(f"failed   {self.cell.title}: {error}")
        self._reported = len(self.errors)

    def require_an_output(self) -> None:
        if self.begun or not self.errors:
            return
        first = next(iter(self.errors.values()))
        count = len(self.errors)
        others = "" if count == self.scans == 1 else f"; the first of {count} failed scans"
        if count < self.scans:
            others += f", the other {self.scans - count} were not tried"
        raise CommandError(first.subject, first.session, f"{first.reason}{others}")
