"""What every task must hold to."""

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
from harmbench.testing.method_checks import check_registration
from harmbench.testing.task_candidate import TaskCandidate
from harmbench.testing.tiny_cohort import without
from harmbench.util.hashing import digest

TASK_CHECKS: CheckList[TaskCandidate] = CheckList()

_BY_SPLIT = 'choose by split: cohort.scans(domain, "train") and cohort.scans(domain, "test")'

COLUMNS = ("person", "scan", "slice", "metric", "value")


def fitted_on(data: TaskData) -> Iterator[tuple[str, ScanSet]]:
    """Yield every collection that something may be fitted on, with its name."""
    named = {"target": data.target, "validation": data.validation, "source": data.source}
    for name, scans in named.items():
        if scans is not None:
            yield name, scans
    for name, both in (("pairs", data.pairs), ("labelled", data.labelled)):
        for scans in both or ():
            yield name, scans


def described(data: TaskData) -> str:
    """Hash all that a set-up chose and drew."""
    sets = [(name, scans.digest) for name, scans in fitted_on(data)]
    sets += [(name, scans.digest) for name, scans in data.extra.items()]
    references = None if data.references is None else data.references.digest
    # As it is printed: whether it can be hashed is another check.
    return digest(sets, data.test.digest, references, repr(data.parameters))


@TASK_CHECKS.add("registration")
def registration(candidate: TaskCandidate) -> None:
    """It is registered under its name, with a summary, without loading torch."""
    task = candidate.task
    check_registration("task", candidate.entry, task.name, getattr(task, "summary", ""))


@TASK_CHECKS.add("setup")
def setup(candidate: TaskCandidate) -> None:
    """It chooses its data of a small cohort, or says why it cannot."""
    fault = candidate.fault
    if isinstance(fault, SkipCell):
        if str(fault).strip():
            raise NotApplicable(f"it refuses the tiny cohort: {fault}")
        raise CheckFailure(
            "a reason why the cohort cannot answer the question",
            "SkipCell without a text",
            "raise SkipCell(\"source 'a' has no test scans\"), with what is missing",
        )
    if fault is not None:
        raise CheckFailure(
            "TaskData, or SkipCell with the reason",
            one_line(fault),
            "try Task.setup on harmbench.testing.tiny_cohort()",
        ) from fault
    if not candidate.n_tested:
        raise CheckFailure(
            "test scans, or SkipCell with the reason",
            "no test scan",
            "raise SkipCell where nothing can be tested",
        )


@TASK_CHECKS.add("refusal")
def refusal(candidate: TaskCandidate) -> None:
    """A cohort without pairs or labels is taken, or refused with the reason."""
    candidate.data  # noqa: B018 - to be skipped where there is none
    poor = {
        "without pairs": without(pairs=False),
        "without labels": without(labels=False),
    }
    for what, cohort in poor.items():
        mend = f"raise SkipCell, with the reason, where a cohort {what} cannot answer the question"
        try:
            candidate.build().setup(cohort, SEED)
        except SkipCell as reason:
            if not str(reason).strip():
                raise CheckFailure(
                    f"a reason why a cohort {what} is refused", "SkipCell without a text", mend
                ) from None
        except Exception as error:
            raise CheckFailure(
                f"TaskData or SkipCell for a cohort {what}", one_line(error), mend
            ) from error


@TASK_CHECKS.add("deterministic")
def deterministic(candidate: TaskCandidate) -> None:
    """Set up twice under one seed, it chooses and draws the same."""
    first = described(candidate.data)
    reseed_global_rngs(2)
    if described(candidate.build().setup(candidate.cohort, SEED)) != first:
        raise CheckFailure(
            "the same data and parameters under the same seed",
            "they differ between two set-ups",
            "draw from harmbench.numpy_generator(seed, name, subject), and from nothing else",
        )
    data = candidate.data
    for _, scans in (("test", data.test), *fitted_on(data)):
        if len(scans) and not torch.equal(scans.load([0]).images, scans.load([0]).images):
            raise CheckFailure(
                "the same voxels whenever a scan is read",
                f"those of '{scans.domain}' change from time to time",
                "draw what is random in `setup`, into the transform's parameters",
            )


@TASK_CHECKS.add("parameters")
def parameters(candidate: TaskCandidate) -> None:
    """What it drew can be written as JSON, and hashed."""
    given = dict(candidate.data.parameters)
    try:
        digest(given)
        read = json.loads(json.dumps(given, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise CheckFailure(
            "parameters of JSON types",
            one_line(error),
            "give plain numbers, texts, lists and dicts: float(x), x.tolist()",
        ) from error
    if digest(read) != digest(given):
        raise CheckFailure(f"{given} after writing and reading", f"{read}", "use texts as keys")


@TASK_CHECKS.add("people")
def subjects(candidate: TaskCandidate) -> None:
    """Nobody who is tested is fitted on."""
    data = candidate.data
    tested = set(data.test.subjects)
    for name, scans in fitted_on(data):
        seen = sorted(tested & set(scans.subjects))
        if seen:
            raise CheckFailure(
                "test scans of subjects that no fit has seen",
                f"{', '.join(seen)} is in `{name}` as well",
                _BY_SPLIT,
            )


@TASK_CHECKS.add("references")
def references(candidate: TaskCandidate) -> None:
    """The references are of the test scans, in their order."""
    data = candidate.data
    if data.references is None:
        raise NotApplicable("nobody knows the truth of its scans")
    if data.references.subjects != data.test.subjects:
        raise CheckFailure(
            f"references of {', '.join(data.test.subjects)}",
            f"they are of {', '.join(data.references.subjects)}",
            'take both of cohort.pairs(source, "test")',
        )


@TASK_CHECKS.add("withheld")
def withheld(candidate: TaskCandidate) -> None:
    """No reference is among the scans that methods are fitted on."""
    data = candidate.data
    if data.references is None:
        raise NotApplicable("nobody knows the truth of its scans")
    known = {scan.key for scan in data.references.scans}
    for name, scans in fitted_on(data):
        if known & {scan.key for scan in scans.scans}:
            raise CheckFailure(
                "references that no fit has seen",
                f"there are some in `{name}`",
                _BY_SPLIT,
            )


@TASK_CHECKS.add("score")
def score(candidate: TaskCandidate) -> None:
    """It scores scans without an error."""
    candidate.data  # noqa: B018 - to be skipped where there is none
    if candidate.score_fault is not None:
        raise CheckFailure(
            "a table of scores",
            one_line(candidate.score_fault),
            "see Task.score and Scorer for what comes in, and what is to be returned",
        ) from candidate.score_fault


def _is_table(scores: object) -> bool:
    return isinstance(scores, pd.DataFrame) and set(scores.columns) == set(COLUMNS)


@TASK_CHECKS.add("table")
def table(candidate: TaskCandidate) -> None:
    """Scores come by subject, scan, slice, metric and value, of everybody who is tested."""
    scores = candidate.table
    if not _is_table(scores):
        came = ", ".join(map(str, getattr(scores, "columns", [type(scores).__name__])))
        raise CheckFailure(
            f"the columns {', '.join(COLUMNS)}", came, "see what Metric.table returns"
        )
    missing = sorted(set(candidate.data.test.subjects) - set(scores["person"]))
    if missing:
        raise CheckFailure(
            "a score of every test subject",
            f"there is none of {', '.join(missing)}",
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
        raise NotApplicable("there is no such table; see the check 'table'")
    return scores


def _well_formed(candidate: TaskCandidate) -> pd.DataFrame:
    scores = _tabular(candidate)
    if not pd.api.types.is_float_dtype(scores["value"]):
        raise NotApplicable("its values are no numbers; see the check 'values'")
    return scores


@TASK_CHECKS.add("values")
def values(candidate: TaskCandidate) -> None:
    """Every metric has a finite number for someone, and none is of no type."""
    scores = _tabular(candidate)
    if not pd.api.types.is_float_dtype(scores["value"]):
        raise CheckFailure(
            "values of a float type, NaN where a metric is not defined",
            f"they are of type {scores['value'].dtype}",
            "return float(x), and float('nan') for what cannot be measured",
        )
    for name, numbers in by_subject(scores).items():
        if not any(math.isfinite(value) for value in numbers):
            raise CheckFailure(
                f"a finite '{name}' of at least one subject",
                f"{numbers.tolist()}",
                "leave a metric out where it does not apply, rather than score NaN everywhere",
            )


@TASK_CHECKS.add("measures")
def measures(candidate: TaskCandidate) -> None:
    """Every number that is shown is of a registered metric or declared in `measures`."""
    _well_formed(candidate)
    found = set(candidate.estimates)
    unknown = sorted(found - candidate.directions.keys())
    if unknown:
        raise CheckFailure(
            "numbers of which it is known whether higher is better",
            f"nobody knows it of {', '.join(unknown)}",
            f"declare measures = {{'{unknown[0]}': True}}, or False if lower is better",
        )
    if not found & set(candidate.task.headline):
        raise CheckFailure(
            f"one of the numbers {', '.join(sorted(found))} in the headline",
            f"headline = {tuple(candidate.task.headline)}",
            "set headline to the scores that tell most, the first first",
        )


@TASK_CHECKS.add("input")
def untouched(candidate: TaskCandidate) -> None:
    """The scans that it scores stay as they are."""
    candidate.table  # noqa: B018 - to be skipped where there is none
    scorer = candidate.task.scorer(candidate.context)
    place = range(1)
    given, fresh = candidate.batch(place, truth=False), candidate.batch(place, truth=False)
    scorer.add(*given)
    for name, came, expected in zip(
        ("source", "harmonized", "references"), given, fresh, strict=True
    ):
        if came is not None and expected is not None and _changed(came, expected):
            raise CheckFailure(
                f"the scans `{name}` as before",
                "they were changed",
                "no operations in place on what came in: clone it first",
            )


def _changed(came: Scans, expected: Scans) -> bool:
    for name in ("images", "masks", "labels"):
        first, second = getattr(came, name), getattr(expected, name)
        if first is not None and not torch.equal(first, second):
            return True
    return False


@TASK_CHECKS.add("batches")
def batches(candidate: TaskCandidate) -> None:
    """The scores do not depend on how many scans come at a time."""
    single = _well_formed(candidate)
    together = candidate.scored(max(2, len(candidate.data.test)))
    keys = list(COLUMNS[:-1])
    both = single.merge(together, on=keys, how="outer", suffixes=("", "_together"))
    differ = (both["value"] - both["value_together"]).abs() > 1e-4 * (1 + both["value"].abs())
    lost = both["value"].isna() != both["value_together"].isna()
    if (differ | lost).any() or len(single) != len(together):
        row = both[differ | lost].head(1)
        raise CheckFailure(
            "the same scores of scans one by one and all at once",
            "they differ: " + (row.to_dict("records")[0].__repr__() if len(row) else "other rows"),
            "score every scan of a batch by itself; keep sums over batches in the scorer",
        )


@TASK_CHECKS.add("order")
def order(candidate: TaskCandidate) -> None:
    """The truth scores no worse than the scans as they are."""
    if candidate.data.references is None:
        raise NotApplicable("nobody knows the truth of its scans")
    means = by_subject(_well_formed(candidate)).mean()
    truth = by_subject(candidate.scored(1, truth=True)).mean()
    for name in candidate.task.headline:
        if name not in means or name not in truth or name not in candidate.directions:
            continue
        higher = candidate.directions[name]
        worse, better = (means[name], truth[name]) if higher else (truth[name], means[name])
        if worse > better:
            raise CheckFailure(
                f"a '{name}' of the truth that is no worse than of the scans as they are",
                f"{truth[name]:.4g} of the truth, {means[name]:.4g} of the scans",
                "look whether `measures` says rightly that "
                f"{'higher' if higher else 'lower'} is better, and what is compared with what",
            )
        return
    raise NotApplicable("no score of its headline is of single subjects")


@TASK_CHECKS.add("cell")
def cell(candidate: TaskCandidate) -> None:
    """A whole cell of it runs to its end: instruments, bounds, scores, estimates and figure."""
    _well_formed(candidate)
    outcome = candidate.runner.compute(candidate.planned(), candidate.metrics)
    if outcome.status is not Status.DONE:
        raise CheckFailure(
            "a cell that is done",
            f"{outcome.status.value}: {outcome.reason}",
            "see Scorer.estimates, Scorer.annotated and Task.bounds for what they are to return",
        )
