"""Checks of the scans that a method returns: shape, values, background, untouched input."""

from __future__ import annotations

import torch

from harmbench.data.scans import Scans
from harmbench.errors import one_line
from harmbench.execution.compute.invariants import (
    Violation,
    changed_background,
    changed_input,
    outside_range,
)
from harmbench.testing.checks import CheckFailure, CheckList
from harmbench.testing.method_candidate import MethodCandidate

OUTPUT_CHECKS: CheckList[MethodCandidate] = CheckList()


def fail_on(violation: Violation | None) -> None:
    """Fail the check if there is a violation."""
    if violation is not None:
        raise CheckFailure(violation.expected, violation.got, violation.fix)


@OUTPUT_CHECKS.add("harmonize")
def harmonize(candidate: MethodCandidate) -> None:
    """It harmonises two scans without an error."""
    candidate.fitted  # noqa: B018 - skips the check if there is no fit
    if candidate.output_fault is not None:
        raise CheckFailure(
            "`forward` returns harmonised scans",
            one_line(candidate.output_fault),
            "correct `forward`: scans have neither labels nor truth; the log of `harmbench run` "
            "has the traceback",
        ) from candidate.output_fault


@OUTPUT_CHECKS.add("shape")
def shape(candidate: MethodCandidate) -> None:
    """It returns scans of the same shape, type and subjects."""
    output, source = candidate.output, candidate.source
    fix = "return scans.with_images(images), with images (N, S, H, W) like the input"
    if not isinstance(output, Scans):
        raise CheckFailure("Scans", f"a {type(output).__name__}", fix)
    for attribute, got, expected in (
        ("shape", tuple(output.images.shape), tuple(source.images.shape)),
        ("type", output.images.dtype, torch.float32),
        ("subjects", output.subjects, candidate.given(source).subjects),
    ):
        if got != expected:
            raise CheckFailure(f"images with {attribute} {expected}", f"{got}", fix)


@OUTPUT_CHECKS.add("finite")
def finite(candidate: MethodCandidate) -> None:
    """All intensities it returns are finite."""
    count = int((~candidate.images.isfinite()).sum())
    if count:
        raise CheckFailure(
            "finite intensities",
            f"{count} of {candidate.images.numel()} voxels are infinite or NaN",
            "look for divisions by zero, logarithms and roots, also for an empty mask",
        )


@OUTPUT_CHECKS.add("range")
def in_range(candidate: MethodCandidate) -> None:
    """All intensities it returns lie in [0, 1]."""
    fail_on(outside_range(candidate.images))


@OUTPUT_CHECKS.add("input")
def untouched(candidate: MethodCandidate) -> None:
    """It does not change its input."""
    candidate.output  # noqa: B018 - skips the check if there is no output
    fail_on(changed_input(candidate.received, candidate.source))


@OUTPUT_CHECKS.add("background")
def background(candidate: MethodCandidate) -> None:
    """Voxels outside the mask do not change."""
    fail_on(changed_background(candidate.images, candidate.source))
