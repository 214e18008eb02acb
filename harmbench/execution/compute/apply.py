"""Applying a method to scans, and holding it to its contract."""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from harmbench.contracts.method import Method
from harmbench.contracts.needs import Needs
from harmbench.data.scans import Scans
from harmbench.errors import DivergedError
from harmbench.util.seeds import seeded


def with_shown(scans: Scans, needs: Needs, images: Tensor) -> Scans:
    """Return scans with target images of the same subjects `(N, S, H, W)`, for a control."""
    if needs is Needs.TRUTH:
        return dataclasses.replace(scans, truth=images)
    return dataclasses.replace(scans, repeat=images)


def harmonized_by(
    method: Method, source: Scans, shown: Scans | None, seed: int, device: torch.device
) -> Scans:
    """Harmonise a batch.

    Parameters
    ----------
    method, device
        The method, and where it is.
    source
        On the CPU, as the result is.
    shown
        Target scans of the same subjects, for a control alone: `TaskData.shown`.
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
    if method.needs.control_only:
        assert shown is not None
        given = with_shown(given, method.needs, shown.images.to(device))
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
