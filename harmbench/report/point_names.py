"""Positions of the names of points, so that they lie on no other name or point."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

# Sizes as shares of the axes: a character, a line of text, and half a marker.
_CHARACTER, _LINE = 0.013, 0.036
_HALF_X, _HALF_Y = 0.011, 0.018
_POSITIONS = ("top center", "bottom center", "middle right", "middle left")


@dataclass(frozen=True)
class _Box:
    left: float
    bottom: float
    right: float
    top: float

    def overlaps(self, other: _Box) -> bool:
        return (
            self.left < other.right
            and other.left < self.right
            and self.bottom < other.top
            and other.bottom < self.top
        )


def name_positions(names: Sequence[str], x: Sequence[float], y: Sequence[float]) -> list[str]:
    """Return a position for each name, in the words of Plotly's `textposition`.

    The first of above, below, right and left that is free; above if none is.

    Parameters
    ----------
    names
        Names of the points.
    x, y
        Their positions; on a logarithmic axis the logarithms.

    Examples
    --------
    >>> name_positions(["far", "first", "second"], [0.0, 0.98, 1.0], [0.5, 0.5, 0.5])
    ['top center', 'top center', 'bottom center']
    """
    across, up = list(_shares(x)), list(_shares(y))
    markers = [
        _Box(a - _HALF_X, b - _HALF_Y, a + _HALF_X, b + _HALF_Y)
        for a, b in zip(across, up, strict=True)
    ]
    placed: list[_Box] = []
    positions = []
    for index, name in enumerate(names):
        taken = [*placed, *(marker for k, marker in enumerate(markers) if k != index)]
        boxes = {position: _name_box(name, markers[index], position) for position in _POSITIONS}
        free = (
            position
            for position, box in boxes.items()
            if not any(box.overlaps(other) for other in taken)
        )
        chosen = next(free, _POSITIONS[0])
        placed.append(boxes[chosen])
        positions.append(chosen)
    return positions


def _shares(values: Sequence[float]) -> Iterator[float]:
    low, high = min(values, default=0.0), max(values, default=0.0)
    span = (high - low) or 1.0
    return ((value - low) / span for value in values)


def _name_box(name: str, marker: _Box, position: str) -> _Box:
    """Return the box of a name next to a marker."""
    width = _CHARACTER * len(name)
    middle, level = (marker.left + marker.right) / 2, (marker.bottom + marker.top) / 2
    if position == "top center":
        return _Box(middle - width / 2, marker.top, middle + width / 2, marker.top + _LINE)
    if position == "bottom center":
        bottom = marker.bottom - _LINE
        return _Box(middle - width / 2, bottom, middle + width / 2, marker.bottom)
    low, high = level - _LINE / 2, level + _LINE / 2
    if position == "middle right":
        return _Box(marker.right, low, marker.right + width, high)
    return _Box(marker.left - width, low, marker.left, high)
