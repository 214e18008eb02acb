"""Memory that has run out: how it is told from other errors, and how it is limited."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import resource

import torch

from harmbench.errors import UserError

# torch has a type of its own for GPUs' memory alone.
_OF_CPU = ("DefaultCPUAllocator: can't allocate memory", "DefaultCPUAllocator: not enough memory")


def ran_out(error: BaseException) -> bool:
    """Whether an error says that there was no memory left, on a GPU or on the machine."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(text in str(error) for text in _OF_CPU)


def give_back() -> None:
    """Give what is free back to the machine.

    Between large arrays that come and go, glibc keeps about 100 MiB more with every cell.
    """
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def release(device: torch.device) -> None:
    """Give back what nobody uses any more, so that a smaller piece finds room."""
    gc.collect()
    give_back()
    if device.type == "cuda":
        torch.cuda.empty_cache()


def limit(device: torch.device, mebibytes: int) -> None:
    """Let this process take so much of a device's memory, and no more.

    Parameters
    ----------
    device
        On a CPU, the limit is that of the process's data (`RLIMIT_DATA`), torch's own included.
    mebibytes
        In MiB.

    Raises
    ------
    UserError
        If the device knows no limit.
    """
    bytes_ = mebibytes * 2**20
    if device.type == "cuda":
        total = torch.cuda.get_device_properties(device).total_memory
        torch.cuda.set_per_process_memory_fraction(min(1.0, bytes_ / total), device)
    elif device.type == "cpu":
        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        resource.setrlimit(resource.RLIMIT_DATA, (bytes_, hard))
    else:
        raise UserError(f"--max-memory knows nothing of the device '{device.type}'")
