"""Computing one cell: harmonise the test scans, score them, and store the result."""

from __future__ import annotations

import io
import time
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

import pandas as pd

from harmbench.contracts.cell import CellResult, Status
from harmbench.contracts.method import Method
from harmbench.contracts.purpose import Purpose
from harmbench.contracts.scorer import ScoringContext
from harmbench.contracts.task import Task
from harmbench.errors import CommandError
from harmbench.execution.compute.cell_facts import CellFacts
from harmbench.execution.compute.harmonized_scans import harmonized_scans
from harmbench.execution.compute.kept_outputs import KeptOutputs
from harmbench.execution.compute.keyframes import Keyframes
from harmbench.execution.compute.repeat_check import RepeatCheck
from harmbench.execution.compute.slices import Slices
from harmbench.execution.plan.plan import PlannedCell
from harmbench.external.command_method import CommandMethod
from harmbench.plugin_files import plugin_file
from harmbench.statistics.estimate import Estimate, by_subject, estimates_of
from harmbench.statistics.subjects import encode_draws
from harmbench.statistics.value_range import ValueRange, encode_ranges, in_ranges
from harmbench.store.stores import BoundsStore, CellStore, json_number, to_json
from harmbench.util import device as devices
from harmbench.util.environment import environment
from harmbench.util.hashing import bytes_digest, digest
from harmbench.util.seeds import seeded


def score_cell(
    planned: PlannedCell,
    method: Method,
    context: ScoringContext,
    bounds: dict[str, Any],
    facts: CellFacts,
    store: CellStore,
    stored: CellResult | None,
    outputs: KeptOutputs,
) -> CellResult:
    """Harmonise and score all test scans of a cell, and store the result.

    If the cell is `stored`, only its scores of the context's metrics are replaced or added.
    `outputs` are those kept for the cell, by itself before it was killed or by other cells.
    """
    assert planned.task is not None
    cell, task = planned.cell, planned.task
    began = time.perf_counter()
    with devices.watched(context.device) as gpu:
        context, scans = harmonized_scans(method, context, cell, facts, outputs)
        _require_stored_scans(facts, stored)
        data, scorer = context.data, task.scorer(context)
        keyframes, slices, repeats = Keyframes(cell), Slices(), RepeatCheck()
        for source, harmonized, truth in scans:
            facts.flag(harmonized)
            repeats.add(harmonized)
            scorer.add(source, replace(harmonized, source=source.images), truth)
            keyframes.add(source, harmonized, truth)
            slices.add(source, harmonized, truth)
            # Not in memory while the method harmonises the next scans.
            del truth
        checking = time.perf_counter()
        harmonizes = facts.facts["scans_reused"] < len(data.test)
        if harmonizes or not outputs.checked:
            together = facts.facts.get("scans_at_once", 2) > 1
            with outputs.checking():
                repeats.check(method, data, context.seed, context.device, together=together)
        facts.facts["repeat_check_seconds"] = time.perf_counter() - checking
    scores = scorer.table()
    facts.facts |= (gpu if harmonizes else {}) | {
        "harmonize_seconds_per_scan": facts.harmonizing / max(1, len(data.test)),
        "cell_seconds": time.perf_counter() - began,
        "bounds": bounds,
        "draws": {name: encode_draws(values) for name, values in scorer.draws(scores).items()},
        **_context_facts(planned, task, context),
    }
    estimates = in_ranges(scorer.estimates(scores), _ranges(task, context))
    if stored is not None:
        added = _of_metrics(facts.facts["metrics"], scores, estimates, facts)
        return store.add_scores(cell, stored, added)
    sources = _plugin_sources(method, task)
    facts.facts["plugins"] = {name: bytes_digest(source) for name, source in sources.items()}
    picture = io.BytesIO()
    keyframes.figure(scores, data, task.headline, scorer.annotated).savefig(picture, dpi=110)
    result = CellResult(
        status=Status.DONE,
        scores=scores,
        estimates=estimates,
        facts=facts.facts,
        curves=facts.curves,
    )
    return store.save(cell, result, picture.getvalue(), slices.arrays(data.target), sources)


def _require_stored_scans(facts: CellFacts, stored: CellResult | None) -> None:
    """Check that no scan failed whose scores of other metrics are stored.

    Raises
    ------
    CommandError
        If one failed.
    """
    if stored is not None:
        for name, reason in facts.facts.get("missing", {}).items():
            subject, _, session = name.partition("/")
            raise CommandError(subject, session, f"{reason}; it succeeded before")


def _plugin_sources(*computing: Method | Task) -> dict[str, bytes]:
    """Return the source of the single-file plugins of a method and a task, by file name.

    Of a command: its TOML file, and the scripts that it names.
    """
    paths = [plugin_file(type(each)) for each in computing]
    sources = {path.name: path.read_bytes() for path in paths if path is not None}
    for each in computing:
        if isinstance(each, CommandMethod):
            sources |= each.program.sources
    return sources


def _context_facts(planned: PlannedCell, task: Task, context: ScoringContext) -> dict[str, Any]:
    """Return the facts of a cell that do not depend on its scores."""
    registered = {metric.name: metric.higher_is_better for metric in context.metrics}
    directions = registered | dict(task.measures)
    return {
        "lower_is_better": [name for name, higher in directions.items() if not higher],
        "diagnostic": [
            *(metric.name for metric in context.metrics if metric.purpose is Purpose.DIAGNOSTIC),
            *task.diagnostics,
        ],
        "ranges": encode_ranges(_ranges(task, context)),
        "headline": list(task.headline),
        "metrics": {
            metric.name: {"version": metric.version, "key": planned.metric_keys[metric.name]}
            for metric in context.metrics
            if metric.name in planned.metric_keys
        },
        "environment": environment(context.device),
        "test_scans": len(context.data.test),
        "test_subjects": len(set(context.data.test.subjects)),
    }


def _ranges(task: Task, context: ScoringContext) -> dict[str, ValueRange]:
    """Return the ranges of all scores, by name."""
    return {metric.name: metric.value_range for metric in context.metrics} | dict(task.ranges)


def _of_metrics(
    names: Collection[str],
    scores: pd.DataFrame,
    estimates: Mapping[str, Estimate],
    facts: CellFacts,
) -> CellResult:
    """Return the scores and estimates of some metrics alone."""
    return CellResult(
        status=Status.DONE,
        scores=scores[scores["metric"].isin(names)],
        estimates={name: estimates[name] for name in estimates if name in names},
        facts=facts.facts,
    )


def task_bounds(
    planned: PlannedCell, task: Task, context: ScoringContext, store: BoundsStore
) -> dict[str, Any]:
    """Return the task's bounds as JSON types, computed once for all its cells.

    They are of all test scans, also where images of a submission are missing.
    """
    metrics = {metric.name: planned.metric_keys.get(metric.name) for metric in context.metrics}
    key = digest("bounds", planned.result_key, metrics)
    with store.lock(key):
        bounds = store.load(key)
        if bounds is None:
            with seeded(context.seed, "bounds", task.name):
                data = planned.all_data or context.data
                measured = task.bounds(replace(context, data=data))
            ranges = _ranges(task, context)
            bounds = {title: _bound(values, ranges) for title, values in measured.items()}
            store.save(key, bounds)
    return bounds


def _bound(
    measured: pd.DataFrame | Mapping[str, Estimate], ranges: Mapping[str, ValueRange]
) -> dict[str, dict[str, Any]]:
    """Return a reference value as JSON types: estimates, and values by subject if it has them."""
    if not isinstance(measured, pd.DataFrame):
        return to_json(in_ranges(measured, ranges))
    values = by_subject(measured)
    return {
        name: {
            **number,
            "subjects": {who: json_number(v) for who, v in values[name].dropna().items()},
        }
        for name, number in to_json(in_ranges(estimates_of(values), ranges)).items()
    }
