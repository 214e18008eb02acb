"""Random streams, each derived from the base seed and the axes that it may depend on.

Because streams are derived and not drawn in order, all methods get the same simulated data,
and adding a task or a subject changes no other result.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from harmbench.util.hashing import digest

if TYPE_CHECKING:
    import torch


def derive(seed: int, *axes: Any) -> int:
    """Derive the seed, in [0, 2**63), of the stream named by `axes`.

    Examples
    --------
    >>> derive(0, "fit", "unet") == derive(0, "fit", "unet")
    True
    >>> derive(0, "fit", "unet") == derive(1, "fit", "unet")
    False
    """
    return int(digest("seed", seed, *axes)[:16], 16) >> 1


def numpy_generator(seed: int, *axes: Any) -> np.random.Generator:
    """Return the NumPy generator of the stream named by `axes`."""
    return np.random.default_rng(derive(seed, *axes))


def torch_generator(seed: int, *axes: Any) -> torch.Generator:
    """Return the torch generator, on the CPU, of the stream named by `axes`."""
    import torch

    return torch.Generator().manual_seed(derive(seed, *axes))


@contextlib.contextmanager
def seeded(seed: int, *axes: Any) -> Iterator[None]:
    """Run a block with the global torch stream named by `axes`, then restore the previous one.

    Covers the CPU and every CUDA device, so that code that draws from torch's
    global generators (layers being initialised, dropout) is repeatable. A GPU that
    the block is the first to use keeps the block's stream.
    """
    import torch

    with torch.random.fork_rng(devices=_devices_in_use()):
        _seed_all(derive(seed, *axes))
        yield


@contextlib.contextmanager
def seeded_import(name: str) -> Iterator[None]:
    """Import a plugin's module with torch's global stream of that name.

    A network that the module makes at its top level then has the same weights in every process.
    """
    import torch

    with torch.random.fork_rng(devices=[]):
        _seed_all(derive(0, "import", name))
        yield


def _devices_in_use() -> Sequence[int] | None:
    """Return the indices of the GPUs whose streams are restored; None for torch's default.

    Reading the state of a GPU would open it: a process that computes on the CPU would then need
    memory there.
    """
    import torch

    if torch.backends.mps.is_available():
        return None
    if not torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        return ()
    return range(torch.cuda.device_count())


def _seed_all(seed: int) -> None:
    """Seed torch's global generators of the CPU and of all devices."""
    import torch

    if torch.accelerator.is_available():
        torch.manual_seed(seed)
    else:
        # Without a device, `torch.manual_seed` formats the stack for each kind of device: 1 ms.
        torch.default_generator.manual_seed(seed)
