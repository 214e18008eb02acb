"""Mixed precision: bfloat16 where the hardware supports it, float32 elsewhere."""

from __future__ import annotations

import functools

import torch


@functools.cache
def has_bfloat16(device: torch.device) -> bool:
    """Whether the hardware multiplies matrices in bfloat16, so that it is faster."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    if device.type == "cpu":
        return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())
    return False


def autocast(device: torch.device, enabled: bool = True) -> torch.autocast:
    """Return a context in which matrix products and convolutions run in bfloat16.

    bfloat16 has the exponent range of float32, so losses need no scaling. Without
    `has_bfloat16` or `enabled`, the context switches an outer one back to float32.
    """
    return torch.autocast(
        device.type, dtype=torch.bfloat16, enabled=enabled and has_bfloat16(device)
    )
