"""Applying a method to scans, and holding it to its contract."""

from __future__ import annotations

import dataclasses

import torch

from harmbench.contracts.method import Method
from harmbench.contracts.needs import Needs
from harmbench.data.scans import Scans
from harmbench.errors import DivergedError
from harmbench.util.seeds import seeded


def harmonized_by(
    method: Method, source: Scans, truth: Scans | None, seed: int, device: torch.device
) -> Scans:
    """Harmonise a batch.

    Parameters
    ----------
    method, device
        The method, and where it is.
    source
        On the CPU, as the result is.
    truth
        The paired truth, which only a method with `Needs.TRUTH` is handed, and must be.
    seed
        Base seed of what a method may draw; the stream depends on whose scans they are.

    Raises
    ------
    DivergedError
        If the output is not finite.
    ValueError
        If it has not the input's shape, or leaves [0, 1].
    """
    given = dataclasses.replace(source, labels=None, predicted=None).to(device)
    if method.needs is Needs.TRUTH:
        assert truth is not None
        given = dataclasses.replace(given, truth=truth.images.to(device))
    with torch.no_grad(), seeded(seed, "harmonize", *source.subjects, *source.sessions):
        made = method.eval()(given)
    images = made.images.float().cpu()
    if images.shape != source.images.shape:
        raise ValueError(
            f"the output has shape {tuple(images.shape)}, the input {tuple(source.images.shape)}"
        )
    if not bool(images.isfinite().all()):
        raise DivergedError("the output has values that are not finite")
    low, high = float(images.min()), float(images.max())
    if low < -1e-6 or high > 1 + 1e-6:
        raise ValueError(f"the output must lie in [0, 1], and spans [{low:.4g}, {high:.4g}]")
    return dataclasses.replace(source, images=images.clamp(0, 1), flags=made.flags)
