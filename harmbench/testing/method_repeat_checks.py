"""Checks that a method repeats its output: batches, store, resumed fits, odd scans, a GPU."""

from __future__ import annotations

import dataclasses
from contextlib import suppress

import torch

from harmbench.contracts.method import Method
from harmbench.errors import one_line
from harmbench.execution.compute.invariants import SAME, SIMILAR, batch_dependence
from harmbench.testing.checks import CheckFailure, CheckList, NotApplicable
from harmbench.testing.method_candidate import (
    CPU,
    CountingProgress,
    Killed,
    MethodCandidate,
    max_difference,
    reseed_global_rngs,
)
from harmbench.testing.method_output_checks import fail_on

REPEAT_CHECKS: CheckList[MethodCandidate] = CheckList()


@REPEAT_CHECKS.add("deterministic")
def deterministic(candidate: MethodCandidate) -> None:
    """With one seed, a second fit and a second application give the same output."""
    candidate.images  # noqa: B018 - the first output, before generators are reseeded
    reseed_global_rngs(2)
    _check_same(
        candidate,
        candidate.fitted,
        "the same output for the same scans",
        _DRAW_FROM_SEED,
    )
    reseed_global_rngs(3)
    second = candidate.again("second")
    _check_same_state(candidate.fitted, second, "two fits with one seed", _DRAW_FROM_SEED)
    _check_same(candidate, second, "the same output after two fits with one seed", _DRAW_FROM_SEED)


_DRAW_FROM_SEED = (
    "draw from harmbench.torch_generator(data.seed, ...) or from torch's global generator, which "
    "is seeded; do not use `random`, numpy.random, time or the order of a set"
)


def _same_state(first: Method, second: Method) -> bool:
    other = second.state_dict()
    return all(torch.equal(value, other[name]) for name, value in first.state_dict().items())


def _check_same_state(first: Method, second: Method, fits: str, fix: str) -> None:
    """Fail if two fits did not end in identical parameters and buffers."""
    other = second.state_dict()
    for name, value in first.state_dict().items():
        if not torch.equal(value, other[name]):
            difference = max_difference(value.float(), other[name].float())
            raise CheckFailure(
                f"identical parameters and buffers after {fits}",
                f"`{name}` differs by up to {difference:.3g}",
                fix,
            )


def _check_same(candidate: MethodCandidate, method: Method, expected: str, fix: str) -> None:
    """Fail if a method's output differs from the candidate's first output."""
    images = candidate.images
    output = candidate.apply(method, candidate.given(candidate.source)).images
    difference = max_difference(output, images)
    if difference > SAME:
        raise CheckFailure(expected, f"it differs by up to {difference:.3g}", fix)


@REPEAT_CHECKS.add("canary")
def canary(candidate: MethodCandidate) -> None:
    """The fit does not change when all test scans on the disk are replaced by NaN."""
    if not candidate.method.learns():
        raise NotApplicable("it learns nothing")
    candidate.images  # noqa: B018 - skips the check if there is no output
    if not _same_state(candidate.fitted, candidate.again("second")):
        raise NotApplicable("its fits differ without a cause; see the check 'deterministic'")
    fix = "read scans by data.target, data.source and data.pairs only; do not search the disk"
    reseed_global_rngs(1)
    try:
        second = candidate.again("canary", data=candidate.poisoned_data)
    except Exception as error:
        raise CheckFailure("a fit that reads no test scan", one_line(error), fix) from error
    fits = "fits with and without test scans"
    _check_same_state(candidate.fitted, second, fits, fix)
    _check_same(candidate, second, f"the same output after {fits}", fix)


@REPEAT_CHECKS.add("batches")
def batches(candidate: MethodCandidate) -> None:
    """Each scan of a batch is harmonised independently of the others."""
    images, source = candidate.images, candidate.source
    for i in range(len(source)):
        single = dataclasses.replace(
            source,
            images=source.images[i : i + 1],
            masks=source.masks[i : i + 1],
            subjects=source.subjects[i : i + 1],
            sessions=source.sessions[i : i + 1],
        )
        output = candidate.apply(candidate.fitted, candidate.given(single)).images
        fail_on(batch_dependence(output, images[i : i + 1], CPU))


@REPEAT_CHECKS.add("store")
def store(candidate: MethodCandidate) -> None:
    """After storing and loading, it gives the same output."""
    if not candidate.method.learns():
        raise NotApplicable("it learns nothing, so nothing is stored")
    candidate.images  # noqa: B018 - skips the check if there is no output
    loaded = candidate.built()
    state = candidate.store("first").load(candidate.fit.key, loaded)
    fix = (
        "keep everything learnt in parameters and buffers (self.register_buffer in __init__, "
        "with its shape), and nowhere else"
    )
    if state is None:
        raise CheckFailure(
            "a state that can be loaded into a new instance", "loading it fails", fix
        )
    _check_same(candidate, loaded, "the same output after storing and loading", fix)


@REPEAT_CHECKS.add("resume")
def resume(candidate: MethodCandidate) -> None:
    """A killed fit resumes at its checkpoint, and ends like a fit that was not killed."""
    if not candidate.method.learns():
        raise NotApplicable("it learns nothing")
    candidate.images  # noqa: B018 - skips the check if there is no output
    steps = candidate.pulse.count
    if not steps:
        raise NotApplicable("it reports no progress, so the check cannot stop it")
    with suppress(Killed):
        candidate.again(
            "killed", CountingProgress(max(1, round(0.6 * steps))), checkpoint_seconds=0
        )
    if not any(candidate.store("killed").root.glob(".*.checkpoints/*")):
        raise NotApplicable("it keeps no checkpoints: a killed fit starts from the beginning")
    progress = CountingProgress()
    reseed_global_rngs(4)
    resumed = candidate.again("killed", progress, checkpoint_seconds=0)
    fix = (
        "train with harmbench.train, or pass progress.save everything that later steps depend "
        "on, including optimiser and generators, and begin with progress.saved()"
    )
    if progress.count >= steps:
        raise CheckFailure(
            "a fit that resumes at its checkpoint",
            f"it took {progress.count} steps after the kill, and takes {steps} in all",
            fix,
        )
    _check_same(candidate, resumed, "the same output as of a fit that was not killed", fix)


@REPEAT_CHECKS.add("empty")
def empty(candidate: MethodCandidate) -> None:
    """Scans without a brain, or with a single intensity, give finite output."""
    if not candidate.images.isfinite().all():
        raise NotApplicable("other scans are not finite either; see the check 'finite'")
    source = candidate.source
    zeros = torch.zeros_like(source.images)
    cases = {
        "without a brain": (zeros, torch.zeros_like(source.masks)),
        "with a single intensity": (torch.where(source.masks, 0.5, zeros), source.masks),
        "that are zero within the mask": (zeros, source.masks),
    }
    fix = "handle an empty mask, and a standard deviation of zero, as special cases"
    for case, (images, masks) in cases.items():
        scans = dataclasses.replace(source, images=images, masks=masks)
        try:
            output = candidate.apply(candidate.fitted, candidate.given(scans)).images
        except Exception as error:
            raise CheckFailure(f"output for scans {case}", one_line(error), fix) from error
        count = int((~output.isfinite()).sum())
        if count:
            raise CheckFailure(
                f"finite output for scans {case}", f"{count} voxels are not finite", fix
            )


@REPEAT_CHECKS.add("gpu")
def gpu(candidate: MethodCandidate) -> None:
    """On a GPU it gives the same output as on the CPU."""
    if not torch.cuda.is_available():
        raise NotApplicable("this machine has no CUDA device")
    if not candidate.images.isfinite().all():
        raise NotApplicable("its output is not finite on the CPU; see the check 'finite'")
    # Both are loaded from the store: what is lost there is found by the check 'store'.
    on_cpu, on_gpu = (
        candidate.apply(
            candidate.again("first").to(device), candidate.given(candidate.source).to(device)
        ).images.cpu()
        for device in ("cpu", "cuda")
    )
    difference = float((on_gpu - on_cpu).abs().mean())
    if not difference <= SIMILAR:
        raise CheckFailure(
            f"a mean difference of at most {SIMILAR:g} between GPU and CPU",
            f"it is {difference:.3g}",
            "make new tensors on the device of the scans (torch.zeros_like, "
            "device=scans.images.device), and compute sums in float32 or better",
        )
