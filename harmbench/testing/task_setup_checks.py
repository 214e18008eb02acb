"""Checks of tasks: registration and the data that a task selects."""

from __future__ import annotations

import json
from collections.abc import Iterator

import torch

from harmbench.contracts.needs import Needs
from harmbench.contracts.task_data import TaskData
from harmbench.data.scan_set import ScanSet
from harmbench.errors import SharedSubjectsError, SkipCell, one_line
from harmbench.testing.checks import CheckFailure, CheckList, NotApplicable
from harmbench.testing.method_candidate import SEED, reseed_global_rngs
from harmbench.testing.registration import check_registration
from harmbench.testing.task_candidate import TaskCandidate
from harmbench.testing.tiny import without
from harmbench.util.hashing import digest

SETUP_CHECKS: CheckList[TaskCandidate] = CheckList()

_BY_SPLIT = 'choose by split: cohort.scans(domain, "train") and cohort.scans(domain, "test")'


def fitted_on(data: TaskData) -> Iterator[tuple[str, ScanSet]]:
    """Yield each scan set that methods or instruments may be fitted on, with its name."""
    scan_sets = {"target": data.target, "validation": data.validation, "source": data.source}
    for name, scans in scan_sets.items():
        if scans is not None:
            yield name, scans
    for name, scans in (data.sites or {}).items():
        yield f"sites['{name}']", scans
    for name, pair in (("pairs", data.pairs), ("labelled", data.labelled)):
        for scans in pair or ():
            yield name, scans


def data_digest(data: TaskData) -> str:
    """Hash all scans that a set-up selected, and the parameters that it drew."""
    sets = [(name, scans.digest) for name, scans in fitted_on(data)]
    sets += [(name, scans.digest) for name, scans in data.extra.items()]
    shown = [scans and scans.digest for scans in (data.references, data.repeats)]
    # Hash the printed form: another check tests whether parameters can be hashed.
    return digest(sets, data.test.digest, shown, repr(data.parameters))


@SETUP_CHECKS.add("registration")
def registration(candidate: TaskCandidate) -> None:
    """It is registered by its name, with a summary, without loading torch."""
    task = candidate.task
    check_registration("task", candidate.entry, task.name, getattr(task, "summary", ""))


@SETUP_CHECKS.add("setup")
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


@SETUP_CHECKS.add("refusal")
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


@SETUP_CHECKS.add("deterministic")
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


@SETUP_CHECKS.add("parameters")
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


@SETUP_CHECKS.add("subjects")
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


@SETUP_CHECKS.add("disjoint")
def disjoint(candidate: TaskCandidate) -> None:
    """Source and target scans to fit on, and sites, are of different subjects; except pairs."""
    shared = candidate.data.fit_data(SEED).shared_subjects
    if shared:
        raise CheckFailure(
            "source scans of subjects without scans in `target` and `validation`",
            f"{', '.join(shared)} in both",
            "divide subjects of both domains: source, target = disjoint_subjects(source, target)",
        )
    if candidate.data.sites is not None:
        try:
            candidate.data.fit_data(SEED).restricted(Needs.SITES)
        except SharedSubjectsError as error:
            raise CheckFailure(
                "sites that share no subject", str(error), "use training_sites(cohort, without=...)"
            ) from error


def _require_test_subjects(name: str, scans: ScanSet, test: ScanSet, fix: str) -> None:
    """Fail unless scans are of the test scans' subjects, in the same order."""
    if scans.subjects != test.subjects:
        raise CheckFailure(
            f"{name} of the subjects {', '.join(test.subjects)}",
            f"{name} of {', '.join(scans.subjects)}",
            fix,
        )


@SETUP_CHECKS.add("references")
def matching_references(candidate: TaskCandidate) -> None:
    """References belong to the test scans, in the same order."""
    data = candidate.data
    if data.references is None:
        raise NotApplicable("its scans have no known truth")
    fix = 'use both scan sets of cohort.pairs(source, "test")'
    _require_test_subjects("references", data.references, data.test, fix)


@SETUP_CHECKS.add("repeats")
def matching_repeats(candidate: TaskCandidate) -> None:
    """Repeats belong to the test scans, in the same order, and are not the references."""
    data = candidate.data
    if data.repeats is None:
        raise NotApplicable("it has no repeat scans")
    fix = "order repeats as the test scans: repeats.subset([...])"
    _require_test_subjects("repeats", data.repeats, data.test, fix)
    references = () if data.references is None else data.references.scans
    if {scan.key for scan in references} & {scan.key for scan in data.repeats.scans}:
        raise CheckFailure(
            "repeats of another session than the references",
            "a reference among the repeats",
            "choose scans with another session of the target domain",
        )


@SETUP_CHECKS.add("withheld")
def withheld(candidate: TaskCandidate) -> None:
    """No reference and no repeat is among the scans that anything is fitted on."""
    data = candidate.data
    if data.references is None:
        raise NotApplicable("its scans have no known truth")
    repeats = () if data.repeats is None else data.repeats.scans
    withheld_keys = {scan.key for scan in (*data.references.scans, *repeats)}
    for name, scans in fitted_on(data):
        if withheld_keys & {scan.key for scan in scans.scans}:
            raise CheckFailure(
                "references and repeats that no fit uses",
                f"references or repeats in `{name}`",
                _BY_SPLIT,
            )
