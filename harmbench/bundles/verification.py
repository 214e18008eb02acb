"""Recompute results of a bundle, and compare the numbers."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch

from harmbench.bundles.archive import Archive
from harmbench.bundles.pseudonyms import pseudonyms_of
from harmbench.bundles.record_privacy import PHANTOM
from harmbench.contracts.cell import Cell, CellResult, Status
from harmbench.contracts.metric import Metric
from harmbench.data.cohort_request import CohortRequest
from harmbench.errors import UserError
from harmbench.execution.compute.runner import Runner
from harmbench.execution.plan.plan import PlannedCell, make_plan
from harmbench.execution.plan.request import Request
from harmbench.execution.plan.selection import select
from harmbench.execution.plan.settings import assignments_of
from harmbench.plugins import Registry, matching
from harmbench.statistics.subjects import decode
from harmbench.store.record import Record, values_of
from harmbench.util.progress import Progress

# Largest relative difference that other hardware and library versions cause.
TOLERANCE = 1e-3


@dataclass(frozen=True, kw_only=True)
class Confirmation:
    """A result of a bundle that was recomputed, or why it could not be.

    Attributes
    ----------
    title
        Method, task, seed and fold.
    reason
        Why it was not recomputed; empty if it was.
    note
        In which inputs the recomputed result differs although its question is the same.
    largest
        Largest relative difference of a number, and the metric that has it.
    metric
        The metric with the largest difference.
    subjects
        Number of subjects whose values were compared; 0 if their pseudonyms are unknown here.
    """

    title: str
    reason: str = ""
    note: str = ""
    largest: float = 0.0
    metric: str = ""
    subjects: int = 0

    def confirms(self, tolerance: float) -> bool:
        """Whether the result was recomputed, with the same numbers within the tolerance."""
        return not self.reason and self.largest <= tolerance


def chosen_records(
    archive: Archive,
    *,
    methods: Sequence[str],
    tasks: Sequence[str],
    targets: Sequence[str],
    count: int | None,
) -> list[Record]:
    """Return the results to recompute.

    Parameters
    ----------
    archive
        The bundle.
    methods, tasks, targets
        Names or globs; all if empty. A method's name selects its variants, too.
    count
        Number of results, those that took the least time; all if None.

    Raises
    ------
    UserError
        If no result with scores matches.
    """
    records = [
        record
        for record in map(Record.from_line, archive.results.split(b"\n")[:-1])
        if record.head["status"] == Status.DONE and not record.head["submission"]
    ]
    for axes, noun, patterns in (
        (("label", "method"), "method", methods),
        (("task",), "task", tasks),
        (("target",), "target", targets),
    ):
        if patterns:
            known = sorted({record.head[axis] for record in records for axis in axes})
            names = {*matching(f"{noun} with scores in the bundle", patterns, known)}
            records = [r for r in records if names & {r.head[axis] for axis in axes}]
    if not records:
        raise UserError("no result of the bundle with scores has these methods, tasks and targets")
    return sorted(records, key=_seconds)[:count]


def _seconds(record: Record) -> float:
    facts = record.head["facts"]
    return float(facts.get("fit_seconds", 0.0)) + float(facts.get("cell_seconds", 0.0))


@dataclass(frozen=True, kw_only=True)
class Verifier:
    """Recomputes results in an empty store, with the scans of a home.

    Attributes
    ----------
    registry, home, device, progress
        Plugins, the home with the cohort's scans, the device, and where progress is shown.
    cohort
        The cohort, and how it is prepared.
    """

    registry: Registry
    home: Path
    device: torch.device
    progress: Progress
    cohort: CohortRequest = field(repr=False)
    fit_cohort: CohortRequest | None = field(default=None, repr=False)

    def checks(self, records: Sequence[Record]) -> Iterator[Confirmation]:
        """Recompute each record, and yield the comparison.

        Raises
        ------
        UserError
            If a method or a task is not installed, or the cohort is another one or cannot be
            prepared.
        """
        with tempfile.TemporaryDirectory(prefix="harmbench-verify-") as folder:
            runner = Runner(
                registry=self.registry,
                home=Path(folder),
                device=self.device,
                progress=self.progress,
            )
            for record in records:
                yield self._check(runner, record)

    def _check(self, runner: Runner, record: Record) -> Confirmation:
        fits = record.head.get("fit_cohort")
        if fits and self.fit_cohort is None:
            reason = f"its fits are on the cohort {fits}: give that cohort with --fit-cohort"
            head = record.head
            return Confirmation(title=f"{head['label']} on {head['task']}", reason=reason)
        planned, metrics = self._planned(record)
        check = Confirmation(title=planned.cell.title)
        reason = _other_question(record.head, planned.cell)
        if reason:
            return replace(check, reason=reason)
        outcome = runner.compute(planned, metrics)
        if outcome.result is None:
            return replace(check, reason=f"{outcome.status.value}: {outcome.reason}")
        names = pseudonyms_of(self.home, [planned.cell.cohort_key])
        aliases = {name: alias for each in names.values() for alias, name in each.names.items()}
        note = "" if planned.cell.key == record.head["cell"] else "other code or settings"
        return replace(_compared(check, record, outcome.result, aliases), note=note)

    def _planned(self, record: Record) -> tuple[PlannedCell, tuple[Metric, ...]]:
        """Return the cell of a record, as this home would compute it."""
        head = record.head
        folds = head["split"].removesuffix(" folds")
        address = self.cohort.name
        if head["kind"] == PHANTOM and address == PHANTOM:
            # Its title is its address.
            address = head["cohort"].partition("+")[0]
        fits = self.fit_cohort if head.get("fit_cohort") else None
        if fits is not None:
            fits = replace(fits, normalization=head["normalization"])
        method, method_settings = assignments_of(head["label"])
        task, task_settings = assignments_of(head["task"])
        request = Request(
            methods=(method,),
            tasks=(task,),
            cohort=replace(self.cohort, name=address, normalization=head["normalization"]),
            fit_cohort=fits,
            preset=head["preset"],
            targets=(head["target"],) if "@" in task else (),
            split="test" if folds.isdecimal() else head["split"],
            folds=int(folds) if folds.isdecimal() else 0,
            seeds=(head["seed"],),
            assignments=(*method_settings, *task_settings),
        )
        selection = select(self.registry, request)
        # Before the cohort is prepared, which may take hours.
        if not head["cohort"].startswith(selection.source.title):
            raise UserError(
                f"the result {record.head['label']} on {task} is of the cohort {head['cohort']}, "
                f"not {selection.source.title}: give that cohort with --cohort"
            )
        plan = make_plan(self.registry, selection, self.home, self.progress)
        for planned in plan.cells:
            if planned.cell.fold == head["fold"]:
                return planned, plan.metrics
        raise UserError(f"no fold {head['fold']} of {task} in this cohort")


def _other_question(head: Mapping[str, object], cell: Cell) -> str:
    """Return why a record answers another question than a cell; empty if it does not."""
    if head["cohort_key"] != cell.cohort_key:
        return (
            f"the cohort {cell.cohort} here has other scans, or was prepared in another way "
            f"({cell.cohort_key[:8]} instead of {str(head['cohort_key'])[:8]})"
        )
    if head.get("fit_cohort_key", "") != cell.fit_cohort_key:
        return (
            f"the fit cohort {cell.fit_cohort} here has other scans, or was prepared otherwise "
            f"({cell.fit_cohort_key[:8]} instead of {str(head['fit_cohort_key'])[:8]})"
        )
    if cell.skip is not None:
        return f"skipped here: {cell.skip}"
    if head["question"] != cell.question:
        return f"the task {cell.task} has another version, or other test scans here"
    return ""


def _compared(
    check: Confirmation, record: Record, result: CellResult, aliases: Mapping[str, str]
) -> Confirmation:
    """Compare all numbers that both results have."""
    subjects, metrics = values_of(result)
    largest, worst, compared = 0.0, "", 0
    for name in sorted(metrics.keys() & record.metrics.keys()):
        ours, theirs = metrics[name], record.metrics[name]
        differences = [
            _relative(one, other) for one, other in zip(ours[:3], theirs[:3], strict=True)
        ]
        own = dict(zip(*decode(subjects, ours.subjects), strict=True))
        others = dict(zip(*decode(record.subjects, theirs.subjects), strict=True))
        pairs = [
            (value, others[key])
            for subject, value in own.items()
            for key in (subject, aliases.get(subject, ""))
            if key in others
        ]
        compared = max(compared, len(pairs))
        differences += [_relative(one, other) for one, other in pairs]
        if max(differences) > largest or not worst:
            largest, worst = max(differences), name
    return replace(check, largest=largest, metric=worst, subjects=compared)


def _relative(one: float, other: float) -> float:
    """Return the difference of two numbers relative to the larger; equal infinities differ by 0."""
    if one == other or (math.isnan(one) and math.isnan(other)):
        return 0.0
    if not (math.isfinite(one) and math.isfinite(other)):
        return math.inf
    return abs(one - other) / max(abs(one), abs(other))
