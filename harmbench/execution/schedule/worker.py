"""A process that runs jobs for its parent: `python -m harmbench.execution.schedule.worker`.

It reads lines of JSON from its standard input: first the run options, the home folder and the
log folder, then the keys of jobs. It writes its progress and the results of jobs to its standard
output in the same way. It ends when its input does, even in the middle of a job.
"""

from __future__ import annotations

import gc
import json
import os
import queue
import sys
import threading
import time
import traceback
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TextIO, TypeVar

from harmbench.util.progress import item_count

T = TypeVar("T")
_MESSAGE_INTERVAL_SECONDS = 0.25


class PipeProgress:
    """Progress that is sent to the parent process."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lock = threading.Lock()
        self._last = 0.0

    def send(self, **message: Any) -> None:
        """Send one message, a line of JSON."""
        with self._lock:
            self._stream.write(json.dumps(message) + "\n")
            self._stream.flush()

    def track(self, items: Iterable[T], description: str, total: int | None = None) -> Iterator[T]:
        """Yield the items, and send the count at intervals."""
        total = item_count(items, total)
        self.send(at=description, count=0, total=total)
        for count, item in enumerate(items, start=1):
            yield item
            if time.monotonic() - self._last > _MESSAGE_INTERVAL_SECONDS:
                self._last = time.monotonic()
                self.send(at=description, count=count, total=total)

    def note(self, text: str) -> None:
        """Send a note to show next to the count, at intervals."""
        if time.monotonic() - self._last > _MESSAGE_INTERVAL_SECONDS:
            self.send(note=text)

    def log(self, text: str) -> None:
        """Send a line to print."""
        self.send(log=text)


def _listen(keys: queue.SimpleQueue[str]) -> None:
    try:
        for line in sys.stdin:
            keys.put(json.loads(line)["key"])
    finally:
        # The parent has ended, perhaps within a line; entries of the stores are complete.
        os._exit(0)


def main() -> None:
    """Run jobs until the parent closes the pipe."""
    gc.set_threshold(20_000)  # as in the command line
    # Messages use a copy of standard output, so that printed text cannot mix with them.
    pipe = PipeProgress(os.fdopen(os.dup(1), "w"))
    os.dup2(2, 1)
    options, home, logs = json.loads(sys.stdin.readline()).values()
    keys: queue.SimpleQueue[str] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(keys,), daemon=True).start()
    try:
        from harmbench.execution.schedule.run_options import RunOptions
        from harmbench.execution.schedule.session import Session

        session = Session.of(RunOptions.from_json(options), Path(home), Path(logs), pipe)
    except BaseException as error:
        traceback.print_exc()
        pipe.send(unable=f"{type(error).__name__}: {' '.join(str(error).split())}")
        raise SystemExit(1) from None
    pipe.send(ready=True)
    while True:
        key = keys.get()
        pipe.send(ended=key, outcome=session.perform(key).to_json())


if __name__ == "__main__":
    main()
