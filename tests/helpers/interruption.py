"""Processes that a test interrupts at a chosen moment."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


def wait_for(
    sign: Callable[[], object], process: subprocess.Popen[str] | None = None, seconds: float = 100
) -> None:
    """Wait until a sign is given; fail if the process ends before, or after some seconds."""
    end = time.monotonic() + seconds
    while not sign():
        if process is not None and process.poll() is not None:
            raise AssertionError(f"ended by itself: {process.communicate()}")
        assert time.monotonic() < end, f"no sign within {seconds} s"
        time.sleep(0.02)


def interrupted(
    process: subprocess.Popen[str],
    sign: Callable[[], object],
    number: signal.Signals = signal.SIGKILL,
) -> subprocess.CompletedProcess[str]:
    """Send a signal to a process once a sign is given; return the ended process."""
    wait_for(sign, process)
    process.send_signal(number)
    out, err = process.communicate(timeout=100)
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


@contextmanager
def interruptible() -> Iterator[None]:
    """Let processes that are started here react to Ctrl-C.

    The background job of a shell ignores it, and so do all processes that it starts.
    """
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
