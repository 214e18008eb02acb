"""Run a function on many items in parallel processes.

joblib is not used: measured with 1.6.0, its workers run on when the parent is killed.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import Connection
from typing import Any, TypeVar

from harmbench.errors import UserError

Item = TypeVar("Item")
Result = TypeVar("Result")


def processors() -> int:
    """Return the number of processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def in_processes(
    function: Callable[..., Result],
    items: Sequence[Item],
    *shared: Any,
    least: int = 1,
    most: int | None = None,
) -> Generator[tuple[Item, Result], None, None]:
    """Call `function(item, *shared)` for every item, and yield each result as it completes.

    With a single processor or few items, the function runs in this process. Workers end with
    their parent, even if it is killed. After Ctrl-C, or if the caller closes the generator, they
    are terminated, so `function` must write its files atomically. After an error of an item, the
    other running items are finished.

    Parameters
    ----------
    function
        A function defined in a module, since worker processes look it up by name.
    items, shared
        One item per call, and further arguments that are equal for all calls.
    least
        Minimum number of items per process.
    most
        Maximum number of processes; the number of processors if None.

    Raises
    ------
    UserError
        If the system killed a worker.
    """
    workers = min(most or processors(), len(items) // least)
    if workers < 2:
        for item in items:
            yield item, _on_one_thread(function, item, shared)
        return
    # Workers end when the writing end is closed: by this process, or because it was killed.
    lifeline, writing_end = multiprocessing.Pipe(duplex=False)
    executor = ProcessPoolExecutor(
        workers,
        # A forked child may hang on a lock that a thread of torch held.
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_start_worker,
        initargs=(lifeline, function, shared),
    )
    try:
        futures = {executor.submit(_run_item, item): item for item in items}
        for future in as_completed(futures):
            yield futures[future], future.result()
    except BrokenProcessPool as error:
        raise UserError(
            "the system killed a worker process (possibly out of memory); finished items are "
            "kept: run the same command on fewer processors (taskset -c 0 harmbench ...)"
        ) from error
    except (KeyboardInterrupt, GeneratorExit):
        writing_end.close()
        raise
    finally:
        executor.shutdown(cancel_futures=True)
        writing_end.close()
        lifeline.close()


# The function and the shared arguments, in a worker process.
_call: dict[str, Any] = {}


def _start_worker(
    lifeline: Connection, function: Callable[..., Any], shared: tuple[Any, ...]
) -> None:
    _call.update(function=function, shared=shared)
    # Ctrl-C reaches the whole process group: the parent ends its workers. SIG_IGN would be
    # inherited by the programs that a worker starts, and they would run on.
    signal.signal(signal.SIGINT, lambda *_: None)
    threading.Thread(target=_end_with_parent, args=(lifeline,), daemon=True).start()


def _end_with_parent(lifeline: Connection) -> None:
    with contextlib.suppress(EOFError, OSError):
        lifeline.recv()
    os._exit(1)


def _run_item(item: Any) -> Any:
    return _on_one_thread(_call["function"], item, _call["shared"])


def _on_one_thread(function: Callable[..., Result], item: Any, shared: tuple[Any, ...]) -> Result:
    """Call the function on one thread: equal bits in every process, and one processor each."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return function(item, *shared)
    finally:
        torch.set_num_threads(threads)
