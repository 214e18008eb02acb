"""Out-of-memory errors, releasing memory, and memory limits."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import math
import resource
import sys
import time

import torch

from harmbench.errors import UserError

# torch has an exception type for what its allocator of GPUs requests, and for nothing else. CUDA
# allocates for contexts, kernels and graphs; cuBLAS and cuDNN for their handles (both spellings).
_IN_OTHER_ERRORS = (
    "DefaultCPUAllocator: can't allocate memory",
    "DefaultCPUAllocator: not enough memory",
    "CUDA error: out of memory",
    "_ALLOC_FAILED",
    "_ALLOCATION_FAILED",
)
# Limits in bytes of this process, by the index of the GPU.
_limits: dict[int, int] = {}

_SECONDS_TO_TRIM = 3.0
_trimmed = -math.inf

_M_MMAP_THRESHOLD = -3  # of glibc's malloc.h
_LARGE = 2 * 2**20  # bytes


def ran_out(error: BaseException) -> bool:
    """Whether an error means out of memory, on a GPU or on the CPU."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(text in str(error) for text in _IN_OTHER_ERRORS)


def _call_libc(function: str, *arguments: int) -> None:
    """Call a function of glibc; other C libraries may lack it, and then nothing is done."""
    with contextlib.suppress(OSError, AttributeError):
        getattr(ctypes.CDLL(None), function)(*arguments)


def give_back(device: torch.device) -> None:
    """Return free memory to the operating system, and that of a GPU to other programs.

    Without this, glibc retains about 100 MiB more with every cell, and torch all memory of the
    GPU that it ever used. The host's memory is returned every few seconds only: that takes 30 ms,
    and the next cell requests the same pages again.
    """
    global _trimmed
    if time.monotonic() - _trimmed > _SECONDS_TO_TRIM:
        _trim()
        _trimmed = time.monotonic()
    _empty_cache(device)


def _trim() -> None:
    _call_libc("malloc_trim", 0)


def _empty_cache(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.empty_cache()


def _map_large_blocks() -> None:
    """Let large blocks return to the operating system as soon as they are freed.

    Otherwise glibc extends its heap by about 100 MiB with every cell. Its unused pages are given
    back by `give_back`, but they count as the process's data. Blocks of their own cost about 40 %
    more CPU time, so this is only done where the data are limited.
    """
    _call_libc("mallopt", _M_MMAP_THRESHOLD, _LARGE)


def release(device: torch.device) -> None:
    """Free unused memory on the host and the device, for example before a smaller batch."""
    gc.collect()
    _trim()
    _empty_cache(device)


def limit(device: torch.device, mebibytes: int) -> None:
    """Limit the memory that this process may use on a device.

    Parameters
    ----------
    device
        On a CPU, the limit is that of the process's data (`RLIMIT_DATA`), including torch's.
    mebibytes
        In MiB.

    Raises
    ------
    UserError
        If the device type supports no limit.
    """
    bytes_ = mebibytes * 2**20
    if device.type == "cuda":
        total = torch.cuda.get_device_properties(device).total_memory
        torch.cuda.set_per_process_memory_fraction(min(1.0, bytes_ / total), _index(device))
        _limits[_index(device)] = bytes_
    elif device.type == "cpu":
        _map_large_blocks()
        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        resource.setrlimit(resource.RLIMIT_DATA, (bytes_, hard))
    else:
        raise UserError(
            f"--max-memory is not supported on the device '{device.type}'; use cpu or cuda"
        )


def free_bytes(device: torch.device) -> int:
    """Return the bytes of a GPU that this process may still allocate.

    Memory that torch caches and does not use counts as free; `limit` is respected.
    """
    used = torch.cuda.memory_allocated(device)
    free, total = torch.cuda.mem_get_info(device)
    free += torch.cuda.memory_reserved(device) - used
    return max(0, min(free, _limits.get(_index(device), total) - used))


def _index(device: torch.device) -> int:
    return torch.cuda.current_device() if device.index is None else device.index


def peak_bytes(device: torch.device) -> int:
    """Return the peak memory in bytes: of torch on a GPU, else of this process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    unit = 1 if sys.platform == "darwin" else 1024  # getrusage: bytes on macOS, else KiB
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
