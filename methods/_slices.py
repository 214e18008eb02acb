"""Shared by methods that translate single slices: limits of training, and application."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from harmbench import Scans, ScanSet


def first_scans(scans: ScanSet, slices: int) -> ScanSet:
    """Return the first scans with at most `slices` slices together, at least one; all if 0.

    They are not drawn at random, so that pairs keep the same index in two sets.
    """
    count = max(1, slices // scans.grid.shape[0])
    if slices == 0 or count >= len(scans):
        return scans
    return scans.subset(range(count))


def training_steps(steps: int, epochs: int, slices: int, batch_size: int) -> int:
    """Return `steps`, or the number of steps of `epochs` passes over the slices if it is 0."""
    return steps or epochs * math.ceil(slices / batch_size)


@torch.no_grad()
def translate(scans: Scans, translator: Callable[[Tensor], Tensor], slices_at_once: int) -> Scans:
    """Apply a network to the slices of N scans, and clamp its output to [0, 1].

    The background stays as it is. Scan by scan and a fixed number of slices at a time, so
    that neither memory nor, to the last bit, the answer depend on which scans come together.

    Parameters
    ----------
    scans
        Images `(N, S, H, W)` in [0, 1].
    translator
        From slices `(B, 1, H, W)` in [0, 1] to slices of the same shape.
    slices_at_once
        B.
    """
    images = scans.images.clone()
    for image, mask in zip(images, scans.masks, strict=True):
        for part, foreground in zip(
            image.split(slices_at_once), mask.split(slices_at_once), strict=True
        ):
            translated = translator(part[:, None])[:, 0].clamp(0, 1)
            part.copy_(torch.where(foreground, translated, part))
    return scans.with_images(images)


def scaled_by_slice(scans: ScanSet) -> bool:
    """Return whether every slice with foreground reaches 1: min-max scaled one by one."""
    for scan in scans.batches():
        highest = scan.images[0].amax(dim=(-2, -1))[scan.masks[0].any(dim=-1).any(dim=-1)]
        if not bool((highest > 1 - 1e-4).all()):
            return False
    return True
