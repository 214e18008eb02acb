"""Mixed precision: bfloat16 where the hardware computes it, and nothing elsewhere."""

from __future__ import annotations

import functools

import torch


@functools.cache
def has_bfloat16(device: torch.device) -> bool:
    """Whether the device multiplies matrices in bfloat16 itself, and so gains by it."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    if device.type == "cpu":
        return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())
    return False


def autocast(device: torch.device, enabled: bool = True) -> torch.autocast:
    """Return a context in which matrix products and convolutions run in bfloat16.

    It has the exponents of float32, so that losses need no scaling. Where `has_bfloat16`
    says no, or without `enabled`, the context makes float32 of an outer one again.
    """
    return torch.autocast(
        device.type, dtype=torch.bfloat16, enabled=enabled and has_bfloat16(device)
    )
