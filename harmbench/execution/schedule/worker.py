"""A process that computes works for another one: `python -m harmbench.execution.schedule.worker`.

It is told over its standard input, a line of JSON each: first the order and where logs go,
then the keys of works. What it has to say, of its progress and of how works end, it says over
its standard output in the same way. It ends when its input does, whatever it is at then.
"""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
import time
import traceback
from collections.abc import Iterable, Iterator, Sized
from pathlib import Path
from typing import Any, TextIO, TypeVar

T = TypeVar("T")
_SECONDS_BETWEEN_NEWS = 0.25


class PipeProgress:
    """Progress that is told to another process."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lock = threading.Lock()
        self._last = 0.0

    def tell(self, **news: Any) -> None:
        """Say something."""
        with self._lock:
            self._stream.write(json.dumps(news) + "\n")
            self._stream.flush()

    def track(self, items: Iterable[T], description: str, total: int | None = None) -> Iterator[T]:
        """Yield the items, saying now and then how far they have come."""
        if total is None and isinstance(items, Sized):
            total = len(items)
        self.tell(at=description, count=0, total=total)
        for count, item in enumerate(items, start=1):
            yield item
            if time.monotonic() - self._last > _SECONDS_BETWEEN_NEWS:
                self._last = time.monotonic()
                self.tell(at=description, count=count, total=total)

    def note(self, text: str) -> None:
        """Say a word beside how far it has come."""
        if time.monotonic() - self._last > _SECONDS_BETWEEN_NEWS:
            self.tell(note=text)

    def log(self, text: str) -> None:
        """Say a line."""
        self.tell(log=text)


def _listen(keys: queue.SimpleQueue[str]) -> None:
    for line in sys.stdin:
        keys.put(json.loads(line)["key"])
    # Nobody is there any more to hear of it; what is stored is whole.
    os._exit(0)


def main() -> None:
    """Compute works until there is nobody to tell."""
    # Whatever prints on the way must not be taken for news.
    told = PipeProgress(os.fdopen(os.dup(1), "w"))
    os.dup2(2, 1)
    order, logs = json.loads(sys.stdin.readline()).values()
    keys: queue.SimpleQueue[str] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(keys,), daemon=True).start()
    try:
        from harmbench.execution.schedule.run_options import RunOptions
        from harmbench.execution.schedule.session import Session

        session = Session.of(RunOptions.from_json(order), Path(logs), told)
    except BaseException as error:
        traceback.print_exc()
        told.tell(unable=f"{type(error).__name__}: {' '.join(str(error).split())}")
        raise SystemExit(1) from None
    told.tell(ready=True)
    while True:
        key = keys.get()
        told.tell(ended=key, outcome=session.perform(key).to_json())


if __name__ == "__main__":
    main()
