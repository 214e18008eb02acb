"""How much memory is available, and how many processes it is enough for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from harmbench.util.progress import Progress

_GB = 2**30


def available_memory(root: Path = Path("/")) -> int | None:
    """Return the memory in bytes that this process may still use; None where it is unknown.

    The smallest of what the machine has available and what each memory control group of this
    process has left (containers, Slurm jobs). Cached files count as available. Only Linux tells.

    Parameters
    ----------
    root
        Folder that holds `proc` and `sys`.
    """
    amounts = [*_of_machine(root), *_of_control_groups(root)]
    return max(0, min(amounts)) if amounts else None


def affordable(needs: Sequence[int], most: int, progress: Progress) -> int:
    """Return the number of processes, at most `most`, that the available memory is enough for.

    The largest items may run at the same time. A smaller number than otherwise is logged, as is
    an item that needs more than there is.

    Parameters
    ----------
    needs
        Memory in bytes that each item needs.
    most
        Largest number of processes.
    progress
        Where it is logged.
    """
    available = available_memory()
    wanted = max(1, min(most, len(needs)))
    if available is None or not needs:
        return wanted
    largest = sorted(needs, reverse=True)
    count = wanted
    while count > 1 and sum(largest[:count]) > available:
        count -= 1
    amounts = (
        f"a scan needs up to {largest[0] / _GB:.1f} GB of memory, and {available / _GB:.1f} GB"
    )
    if largest[0] > available:
        progress.log(f"warning: {amounts} are available; the system may stop this command")
    elif count < wanted:
        progress.log(f"note: {count} instead of {wanted} processes: {amounts} are available")
    return count


def _of_machine(root: Path) -> Iterator[int]:
    for line in _lines(root / "proc" / "meminfo"):
        name, _, amount = line.partition(":")
        if name == "MemAvailable":
            yield int(amount.split()[0]) * 1024


def _of_control_groups(root: Path) -> Iterator[int]:
    """Yield what is left in each group that this process belongs to, of version 1 or 2."""
    mount = root / "sys" / "fs" / "cgroup"
    for line in _lines(root / "proc" / "self" / "cgroup"):
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            top, names = mount, ("memory.max", "memory.current", "inactive_file")
        elif "memory" in controllers.split(","):
            top = mount / "memory"
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
        else:
            continue
        # In a container the path may be the host's: only the groups that are visible count.
        group = top / path.lstrip("/")
        for folder in (group, *group.parents):
            if folder.is_relative_to(top):
                yield from _left(folder, *names)


def _left(folder: Path, limit: str, used: str, cached: str) -> Iterator[int]:
    limits, usages = _lines(folder / limit), _lines(folder / used)
    if not limits or not usages or limits[0] == "max":
        return
    files = 0
    for line in _lines(folder / "memory.stat"):
        name, _, amount = line.partition(" ")
        if name == cached:
            files = int(amount)
    yield int(limits[0]) - int(usages[0]) + files


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:
        return []
