"""Colours of the leaderboard: a scale that every eye orders alike, with text that can be read."""

from __future__ import annotations

import math
from collections.abc import Iterable

# Five anchors of cividis (Nunez, Anderton and Renslow, PLOS ONE 2018), which looks alike to
# subjects with and without a colour vision deficiency, from worst to best.
_CIVIDIS = ((0, 34, 78), (65, 77, 107), (124, 123, 120), (188, 174, 108), (254, 232, 56))
STEPS = 9
# How much of the colour is mixed into white paper, or into a dark one.
_MIXED = 0.55
_PAPERS = {"light": (255, 255, 255), "dark": (18, 18, 20)}

Colour = tuple[int, int, int]


def step(value: float, worst: float, best: float) -> int | None:
    """Return the step of a value on the scale, 0 for the worst and `STEPS - 1` for the best.

    None if the value or the scale is not finite. Beyond the ends it is the last step.

    Examples
    --------
    >>> step(30.0, 20.0, 30.0), step(20.0, 20.0, 30.0), step(0.1, 0.4, 0.0)
    (8, 0, 6)
    """
    if not all(map(math.isfinite, (value, worst, best))):
        return None
    share = 0.5 if best == worst else (value - worst) / (best - worst)
    return round(min(1.0, max(0.0, share)) * (STEPS - 1))


def colours(paper: str) -> list[tuple[Colour, Colour]]:
    """Return background and text of every step, on `"light"` or `"dark"` paper."""
    found = []
    for i in range(STEPS):
        ground = _mixed(_along(i / (STEPS - 1)), _PAPERS[paper])
        black, white = (0, 0, 0), (255, 255, 255)
        text = max((black, white), key=lambda ink: contrast(ink, ground))
        found.append((ground, text))
    return found


def contrast(one: Colour, other: Colour) -> float:
    """Return the contrast ratio of two colours (WCAG 2.2): 1 to 21, and 4.5 is enough for text.

    Examples
    --------
    >>> round(contrast((0, 0, 0), (255, 255, 255)))
    21
    """
    bright, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (bright + 0.05) / (dark + 0.05)


def stylesheet() -> str:
    """Return the CSS classes `h0` to `h8`."""
    light, dark = (_rules(colours(paper)) for paper in ("light", "dark"))
    return f"{light}\n@media (prefers-color-scheme: dark) {{\n{dark}\n}}\n"


def _rules(steps: Iterable[tuple[Colour, Colour]]) -> str:
    return "\n".join(
        f".h{i} {{ background: {_hex(ground)}; color: {_hex(text)} }}"
        for i, (ground, text) in enumerate(steps)
    )


def _hex(colour: Colour) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour)


def _along(place: float) -> Colour:
    left = min(int(place * (len(_CIVIDIS) - 1)), len(_CIVIDIS) - 2)
    share = place * (len(_CIVIDIS) - 1) - left
    return _between(_CIVIDIS[left], _CIVIDIS[left + 1], share)


def _mixed(colour: Colour, paper: Colour) -> Colour:
    return _between(paper, colour, _MIXED)


def _between(one: Colour, other: Colour, share: float) -> Colour:
    r, g, b = (round(x + (y - x) * share) for x, y in zip(one, other, strict=True))
    return r, g, b


def _luminance(colour: Colour) -> float:
    parts = []
    for value in colour:
        share = value / 255
        parts.append(share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4)
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]
