"""Progress reports of long computations."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sized
from typing import Protocol, TypeVar

T = TypeVar("T")


class Progress(Protocol):
    """Shows the progress of loops, for example of preparation and fits."""

    def track(self, items: Iterable[T], description: str, total: int | None = None) -> Iterator[T]:
        """Yield the items, and count them; `total` is needed if they have no length."""
        ...

    def note(self, text: str) -> None:
        """Show a note next to the innermost bar, such as the loss."""
        ...

    def log(self, text: str) -> None:
        """Print a permanent line."""
        ...


def item_count(items: Iterable[object], total: int | None = None) -> int | None:
    """Return `total` if given, else the number of items if it is known."""
    if total is None and isinstance(items, Sized):
        return len(items)
    return total


class Silent:
    """Progress that shows nothing."""

    def track(self, items: Iterable[T], description: str, total: int | None = None) -> Iterator[T]:
        """Yield the items."""
        yield from items

    def note(self, text: str) -> None:
        """Show nothing."""

    def log(self, text: str) -> None:
        """Print nothing."""
