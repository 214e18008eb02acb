"""Run one of the commands of a program, on a device."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch

from harmbench.external.command_file import filled
from harmbench.external.process import run_command
from harmbench.external.program import Program


def run_program(
    program: Program,
    command: Sequence[str],
    values: Mapping[str, object],
    *,
    device: torch.device,
    folder: Path,
    timeout: float,
    removed: Sequence[Path] = (),
) -> None:
    """Run a command of a program to its end; see `run_command`.

    Parameters
    ----------
    program
        Gives the environment.
    command
        Arguments with placeholders: `program.apply` or `program.fit`.
    values
        Values of the placeholders beside `device` and those of `program.everywhere`.
    device
        What `{device}` means; the command sees no other GPU.
    folder
        The command's current directory, which is removed if this process is killed.
    timeout
        In seconds.
    removed
        Further folders to remove if this process is killed.

    Raises
    ------
    CommandFault
        As of `run_command`.
    """
    name, variables = device_variables(device)
    complete = {**program.everywhere, "device": name, **values}
    run_command(
        filled(command, complete),
        folder=folder,
        environment=program.environment(complete) | variables,
        timeout=timeout,
        removed=[folder, *removed],
    )


def device_variables(device: torch.device) -> tuple[str, dict[str, str]]:
    """Return a device as a program sees it, and the variables that hide all other GPUs.

    Examples
    --------
    >>> device_variables(torch.device("cpu"))
    ('cpu', {'CUDA_VISIBLE_DEVICES': ''})
    """
    if device.type != "cuda":
        return device.type, {"CUDA_VISIBLE_DEVICES": ""}
    index = torch.cuda.current_device() if device.index is None else device.index
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    name = visible.split(",")[index] if visible else str(index)
    return "cuda:0", {"CUDA_VISIBLE_DEVICES": name}


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """Yield an empty folder, which is removed at the end."""
    # Without errors: a program may leave files that are not writable.
    with tempfile.TemporaryDirectory(
        prefix="harmbench-command-", ignore_cleanup_errors=True
    ) as name:
        yield Path(name).resolve()
