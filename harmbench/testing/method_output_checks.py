"""Checks of the scans that a method returns: shape, values, background, untouched input."""

from __future__ import annotations

import torch

from harmbench.data.scans import Scans
from harmbench.errors import one_line
from harmbench.testing.checks import CheckFailure, CheckList
from harmbench.testing.method_candidate import MethodCandidate, max_difference

OUTPUT_CHECKS: CheckList[MethodCandidate] = CheckList()


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
        ("subjects", output.subjects, source.subjects),
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
    images = candidate.images[candidate.images.isfinite()]
    low, high = (float(images.min()), float(images.max())) if images.numel() else (0.0, 1.0)
    if low < -1e-6 or high > 1 + 1e-6:
        raise CheckFailure(
            "intensities in [0, 1]",
            f"they span [{low:.4g}, {high:.4g}]",
            "end `forward` with images.clamp(0, 1), or find out why values leave the range",
        )


@OUTPUT_CHECKS.add("input")
def untouched(candidate: MethodCandidate) -> None:
    """It does not change its input."""
    candidate.output  # noqa: B018 - skips the check if there is no output
    scans = candidate.given(candidate.source)
    candidate.apply(candidate.fitted, scans)
    for name in ("images", "masks"):
        changed = int((getattr(scans, name) != getattr(candidate.source, name)).sum())
        if changed:
            raise CheckFailure(
                f"unchanged scans.{name}",
                f"{changed} voxels were changed",
                "use no in-place operations (`+=`, `clamp_`, `x[...] = `) on the input; clone it "
                "first",
            )


@OUTPUT_CHECKS.add("background")
def background(candidate: MethodCandidate) -> None:
    """Voxels outside the mask do not change."""
    images, source = candidate.images, candidate.source
    outside = ~source.masks
    difference = max_difference(images[outside], source.images[outside])
    if 1e-6 < difference < torch.inf:
        raise CheckFailure(
            "the input's intensities outside scans.masks, which are 0",
            f"they differ by up to {difference:.3g}",
            "end `forward` with torch.where(scans.masks, images, scans.images)",
        )
