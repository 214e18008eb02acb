"""Work on many items in as many processes as there are processors to use."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

from harmbench.errors import UserError

Item = TypeVar("Item")
Result = TypeVar("Result")


def processors() -> int:
    """Return how many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def in_processes(
    work: Callable[..., Result],
    items: Sequence[Item],
    *shared: Any,
    least: int = 1,
    most: int | None = None,
) -> Generator[tuple[Item, Result], None, None]:
    """Call `work(item, *shared)` for every item, and yield each result when it is there.

    With a single processor, or so few items that starting processes does not pay, the
    work is done in this process. Workers end with their parent, however that ended.

    Parameters
    ----------
    work
        A function of a module, since worker processes look it up by its name.
    items
        One call each.
    shared
        What all calls need, sent to each worker once.
    least
        Items that a process should have at least.
    most
        Processes at most; as many as there are processors, if None.

    Raises
    ------
    UserError
        If the system ended a process.
    """
    workers = min(most or processors(), len(items) // least)
    if workers < 2:
        for item in items:
            yield item, _on_one_thread(work, item, shared)
        return
    executor = ProcessPoolExecutor(
        workers,
        # A forked child may hang on a lock that a thread of torch held.
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_begin,
        initargs=(work, shared),
    )
    try:
        futures = {executor.submit(_work, item): item for item in items}
        for future in as_completed(futures):
            yield futures[future], future.result()
    except BrokenProcessPool as error:
        raise UserError(
            "the system ended a worker process, most often for want of memory; run it again "
            "on fewer processors (taskset -c 0 harmbench ...), what is done is kept"
        ) from error
    finally:
        # After an error or Ctrl-C, nothing that has not begun is begun.
        executor.shutdown(cancel_futures=True)


# What a worker process was started with.
_given: dict[str, Any] = {}


def _begin(work: Callable[..., Any], shared: tuple[Any, ...]) -> None:
    _given.update(work=work, shared=shared)
    # Ctrl-C reaches the whole group: the parent alone answers it, by ending the work.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # A parent that is killed cannot end its workers, and they would wait forever.
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _work(item: Any) -> Any:
    return _on_one_thread(_given["work"], item, _given["shared"])


def _on_one_thread(work: Callable[..., Result], item: Any, shared: tuple[Any, ...]) -> Result:
    """Do the work on one thread: the same bits whoever does it, and no more than our share."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return work(item, *shared)
    finally:
        torch.set_num_threads(threads)
