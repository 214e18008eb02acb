"""All checks of tasks, in the order in which they run."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator

import pandas as pd
import torch

from harmbench.contracts.cell import Status
from harmbench.contracts.task_data import TaskData
from harmbench.data.scan_set import ScanSet
from harmbench.data.scans import Scans
from harmbench.errors import SkipCell, one_line
from harmbench.statistics.estimate import by_subject
from harmbench.testing.checks import CheckFailure, CheckList, NotApplicable
from harmbench.testing.method_candidate import SEED, reseed_global_rngs
from harmbench.testing.registration import check_registration
from harmbench.testing.task_candidate import TaskCandidate
from harmbench.testing.tiny import without
from harmbench.util.hashing import digest

TASK_CHECKS: CheckList[TaskCandidate] = CheckList()

_BY_SPLIT = 'choose by split: cohort.scans(domain, "train") and cohort.scans(domain, "test")'

COLUMNS = ("subject", "scan", "slice", "metric", "value")


def fitted_on(data: TaskData) -> Iterator[tuple[str, ScanSet]]:
    """Yield each scan set that methods or instruments may be fitted on, with its name."""
    scan_sets = {"target": data.target, "validation": data.validation, "source": data.source}
    for name, scans in scan_sets.items():
        if scans is not None:
            yield name, scans
    for name, pair in (("pairs", data.pairs), ("labelled", data.labelled)):
        for scans in pair or ():
            yield name, scans


def data_digest(data: TaskData) -> str:
    """Hash all scans that a set-up selected, and the parameters that it drew."""
    sets = [(name, scans.digest) for name, scans in fitted_on(data)]
    sets += [(name, scans.digest) for name, scans in data.extra.items()]
    references = None if data.references is None else data.references.digest
    # Hash the printed form: another check tests whether parameters can be hashed.
    return digest(sets, data.test.digest, references, repr(data.parameters))


@TASK_CHECKS.add("registration")
def registration(candidate: TaskCandidate) -> None:
    """It is registered by its name, with a summary, without loading torch."""
    task = candidate.task
    check_registration("task", candidate.entry, task.name, getattr(task, "summary", ""))


@TASK_CHECKS.add("setup")
def setup(candidate: TaskCandidate) -> None:
    """It selects data from a small cohort, or skips it with a reason."""
    fault = candidate.fault
    if isinstance(fault, SkipCell):
        if str(fault).strip():
            raise NotApplicable(f"it skips the tiny cohort: {fault}")
        raise CheckFailure(
            "a reason why the cohort is skipped",
            "SkipCell without a message",
            "raise SkipCell(\"source 'a' has no test scans\"), and name what is missing",
        )
    if fault is not None:
        raise CheckFailure(
            "TaskData, or SkipCell with the reason",
            one_line(fault),
            "debug Task.setup on harmbench.testing.tiny_cohort()",
        ) from fault
    if not candidate.n_tested:
        raise CheckFailure(
            "test scans, or SkipCell with the reason",
            "no test scan",
            "raise SkipCell if nothing can be tested",
        )


@TASK_CHECKS.add("refusal")
def refusal(candidate: TaskCandidate) -> None:
    """It accepts a cohort without pairs or labels, or skips it with a reason."""
    candidate.data  # noqa: B018 - skips the check if there is no data
    cohorts = {
        "without pairs": without(pairs=False),
        "without labels": without(labels=False),
    }
    for lack, cohort in cohorts.items():
        fix = f"raise SkipCell with the reason if a cohort {lack} is not enough"
        try:
            candidate.build().setup(cohort, SEED)
        except SkipCell as reason:
            if not str(reason).strip():
                raise CheckFailure(
                    f"a reason why a cohort {lack} is skipped", "SkipCell without a message", fix
                ) from None
        except Exception as error:
            raise CheckFailure(
                f"TaskData or SkipCell for a cohort {lack}", one_line(error), fix
            ) from error


@TASK_CHECKS.add("deterministic")
def deterministic(candidate: TaskCandidate) -> None:
    """Set up twice with one seed, it selects and draws the same."""
    first = data_digest(candidate.data)
    reseed_global_rngs(2)
    if data_digest(candidate.build().setup(candidate.cohort, SEED)) != first:
        raise CheckFailure(
            "the same data and parameters for the same seed",
            "they differ between two set-ups",
            "draw only from harmbench.numpy_generator(seed, name, subject)",
        )
    data = candidate.data
    for _, scans in (("test", data.test), *fitted_on(data)):
        if len(scans) and not torch.equal(scans.load([0]).images, scans.load([0]).images):
            raise CheckFailure(
                "the same voxels each time a scan is read",
                f"scans of '{scans.domain}' differ when read twice",
                "draw random numbers in `setup`, as parameters of the transform",
            )


@TASK_CHECKS.add("parameters")
def json_parameters(candidate: TaskCandidate) -> None:
    """Its drawn parameters can be written as JSON, and hashed."""
    parameters = dict(candidate.data.parameters)
    try:
        digest(parameters)
        read = json.loads(json.dumps(parameters, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise CheckFailure(
            "parameters of JSON types",
            one_line(error),
            "use numbers, strings, lists and dicts: float(x), x.tolist()",
        ) from error
    if digest(read) != digest(parameters):
        raise CheckFailure(
            f"{parameters} after writing and reading", f"{read}", "use strings as keys"
        )


@TASK_CHECKS.add("subjects")
def subjects(candidate: TaskCandidate) -> None:
    """No test subject is among the subjects that anything is fitted on."""
    data = candidate.data
    tested = set(data.test.subjects)
    for name, scans in fitted_on(data):
        shared = sorted(tested & set(scans.subjects))
        if shared:
            raise CheckFailure(
                "test subjects that no fit uses",
                f"{', '.join(shared)} in `{name}`",
                _BY_SPLIT,
            )


@TASK_CHECKS.add("disjoint")
def disjoint(candidate: TaskCandidate) -> None:
    """Source and target scans to fit on are of different subjects, apart from pairs."""
    shared = candidate.data.fit_data(SEED).shared_subjects
    if shared:
        raise CheckFailure(
            "source scans of subjects without scans in `target` and `validation`",
            f"{', '.join(shared)} in both",
            "divide subjects of both domains: source, target = disjoint_subjects(source, target)",
        )


@TASK_CHECKS.add("references")
def matching_references(candidate: TaskCandidate) -> None:
    """References belong to the test scans, in the same order."""
    data = candidate.data
    if data.references is None:
        raise NotApplicable("its scans have no known truth")
    if data.references.subjects != data.test.subjects:
        raise CheckFailure(
            f"references of the subjects {', '.join(data.test.subjects)}",
            f"references of {', '.join(data.references.subjects)}",
            'use both scan sets of cohort.pairs(source, "test")',
        )


@TASK_CHECKS.add("withheld")
def withheld(candidate: TaskCandidate) -> None:
    """No reference is among the scans that anything is fitted on."""
    data = candidate.data
    if data.references is None:
        raise NotApplicable("its scans have no known truth")
    references = {scan.key for scan in data.references.scans}
    for name, scans in fitted_on(data):
        if references & {scan.key for scan in scans.scans}:
            raise CheckFailure(
                "references that no fit uses",
                f"references in `{name}`",
                _BY_SPLIT,
            )


@TASK_CHECKS.add("score")
def score(candidate: TaskCandidate) -> None:
    """It scores scans without an error."""
    candidate.data  # noqa: B018 - skips the check if there is no data
    if candidate.score_fault is not None:
        raise CheckFailure(
            "a table of scores",
            one_line(candidate.score_fault),
            "see Task.score and Scorer for arguments and return values",
        ) from candidate.score_fault


def _is_table(scores: object) -> bool:
    return isinstance(scores, pd.DataFrame) and set(scores.columns) == set(COLUMNS)


@TASK_CHECKS.add("table")
def table(candidate: TaskCandidate) -> None:
    """Scores are a table of subject, scan, slice, metric and value, for all test subjects."""
    scores = candidate.table
    if not _is_table(scores):
        columns = ", ".join(map(str, getattr(scores, "columns", [type(scores).__name__])))
        raise CheckFailure(
            f"the columns {', '.join(COLUMNS)}", columns, "return a table like Metric.table"
        )
    missing = sorted(set(candidate.data.test.subjects) - set(scores["subject"]))
    if missing:
        raise CheckFailure(
            "a score of each test subject",
            f"no score of {', '.join(missing)}",
            "take subject and scan from harmonized.subjects and harmonized.sessions",
        )
    slices = set(scores["slice"].unique())
    allowed = {-1, *range(candidate.cohort.grid.shape[0])}
    if not slices <= allowed:
        raise CheckFailure(
            f"slices from 0 to {max(allowed)}, or -1 for a whole scan",
            f"{sorted(slices - allowed)}",
            "count slices from 0",
        )


def _tabular(candidate: TaskCandidate) -> pd.DataFrame:
    scores = candidate.table
    if not _is_table(scores):
        raise NotApplicable("its scores are not such a table; see the check 'table'")
    return scores


def _well_formed(candidate: TaskCandidate) -> pd.DataFrame:
    scores = _tabular(candidate)
    if not pd.api.types.is_float_dtype(scores["value"]):
        raise NotApplicable("its values are not numbers; see the check 'values'")
    return scores


@TASK_CHECKS.add("values")
def values(candidate: TaskCandidate) -> None:
    """Values are floats, and each metric is finite for at least one subject."""
    scores = _tabular(candidate)
    if not pd.api.types.is_float_dtype(scores["value"]):
        raise CheckFailure(
            "values of a float type, NaN where a metric is undefined",
            f"values of type {scores['value'].dtype}",
            "return float(x), or float('nan') if it cannot be measured",
        )
    for name, numbers in by_subject(scores).items():
        if not any(math.isfinite(value) for value in numbers):
            raise CheckFailure(
                f"a finite '{name}' for at least one subject",
                f"{numbers.tolist()}",
                "leave out a metric that does not apply, instead of NaN for all",
            )


@TASK_CHECKS.add("measures")
def measures(candidate: TaskCandidate) -> None:
    """Each shown number is a registered metric or declared in `measures`."""
    _well_formed(candidate)
    names = set(candidate.estimates)
    unknown = sorted(names - candidate.directions.keys())
    if unknown:
        raise CheckFailure(
            "a direction (is higher better?) for each number",
            f"no direction for {', '.join(unknown)}",
            f"declare measures = {{'{unknown[0]}': True}}, or False if lower is better",
        )
    if not names & set(candidate.task.headline):
        raise CheckFailure(
            f"at least one of {', '.join(sorted(names))} in the headline",
            f"headline = {tuple(candidate.task.headline)}",
            "set headline to the most important scores, most important first",
        )


@TASK_CHECKS.add("input")
def untouched(candidate: TaskCandidate) -> None:
    """It does not change the scans that it scores."""
    candidate.table  # noqa: B018 - skips the check if there are no scores
    scorer = candidate.task.scorer(candidate.context)
    first = range(1)
    batch, copy = candidate.batch(first, truth=False), candidate.batch(first, truth=False)
    scorer.add(*batch)
    for name, scans, expected in zip(
        ("source", "harmonized", "references"), batch, copy, strict=True
    ):
        if scans is not None and expected is not None and _differ(scans, expected):
            raise CheckFailure(
                f"unchanged scans `{name}`",
                "they were changed",
                "use no in-place operations on the input; clone it first",
            )


def _differ(scans: Scans, expected: Scans) -> bool:
    for name in ("images", "masks", "labels"):
        first, second = getattr(scans, name), getattr(expected, name)
        if first is not None and not torch.equal(first, second):
            return True
    return False


@TASK_CHECKS.add("batches")
def batches(candidate: TaskCandidate) -> None:
    """Scores do not depend on the size of batches."""
    single = _well_formed(candidate)
    together = candidate.scored(max(2, len(candidate.data.test)))
    keys = list(COLUMNS[:-1])
    both = single.merge(together, on=keys, how="outer", suffixes=("", "_together"))
    differ = (both["value"] - both["value_together"]).abs() > 1e-4 * (1 + both["value"].abs())
    lost = both["value"].isna() != both["value_together"].isna()
    if (differ | lost).any() or len(single) != len(together):
        row = both[differ | lost].head(1)
        raise CheckFailure(
            "the same scores for scans one by one and in one batch",
            "they differ: " + (row.to_dict("records")[0].__repr__() if len(row) else "other rows"),
            "score each scan of a batch on its own; keep sums over batches in the scorer",
        )


@TASK_CHECKS.add("order")
def order(candidate: TaskCandidate) -> None:
    """The truth scores no worse than the unchanged scans."""
    if candidate.data.references is None:
        raise NotApplicable("its scans have no known truth")
    means = by_subject(_well_formed(candidate)).mean()
    truth = by_subject(candidate.scored(1, truth=True)).mean()
    for name in candidate.task.headline:
        if name not in means or name not in truth or name not in candidate.directions:
            continue
        higher = candidate.directions[name]
        worse, better = (means[name], truth[name]) if higher else (truth[name], means[name])
        if worse > better:
            raise CheckFailure(
                f"a '{name}' of the truth no worse than that of the unchanged scans",
                f"{truth[name]:.4g} for the truth, {means[name]:.4g} for the unchanged scans",
                f"check that {'higher' if higher else 'lower'} is better, as `measures` says, and "
                "that the right scans are compared",
            )
        return
    raise NotApplicable("no score of its headline has values per subject")


@TASK_CHECKS.add("cell")
def cell(candidate: TaskCandidate) -> None:
    """A complete cell runs: instruments, bounds, scores, estimates and figure."""
    _well_formed(candidate)
    result = candidate.runner.compute(candidate.planned(), candidate.metrics)
    if result.status is not Status.DONE:
        raise CheckFailure(
            "a cell with status done",
            f"{result.status.value}: {result.reason}",
            "see Scorer.estimates, Scorer.annotated and Task.bounds for their return values",
        )
