"""Numbers, intervals and directions as text."""

from __future__ import annotations

import math

from harmbench.statistics.estimate import Estimate


def number(value: float, decimals: int | None = None, *, signed: bool = False) -> str:
    """Format a number; NaN is empty.

    Parameters
    ----------
    value
        The number.
    decimals
        Digits after the point; a number that is rounded to zero has no minus sign. By default two
        from 10 on and four below, and three significant digits for very small and very large
        numbers.
    signed
        Whether positive finite numbers have a plus sign.

    Examples
    --------
    >>> number(27.416), number(0.98765), number(1234567.0), number(1.26, 1, signed=True)
    ('27.42', '0.9877', '1.23e+06', '+1.3')
    >>> number(float("inf")), number(float("nan")), number(0.0), number(-0.04, 1)
    ('∞', '', '0', '0.0')
    """
    if math.isnan(value):
        return ""
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    sign = "+" if signed else ""
    if decimals is not None:
        return f"{value:{sign}z.{decimals}f}"
    if value == 0:
        return "0"
    if abs(value) >= 1e5 or abs(value) < 1e-3:
        return f"{value:{sign}.3g}"
    return f"{value:{sign}.{2 if abs(value) >= 10 else 4}f}"


def interval(low: float, high: float, decimals: int | None = None, *, signed: bool = False) -> str:
    """Format an interval; empty if a bound is NaN or none is finite.

    Examples
    --------
    >>> interval(1.5, 20.0), interval(-1.0, 2.0, 1, signed=True), interval(1.0, float("nan"))
    ('[1.5000, 20.00]', '[-1.0, +2.0]', '')
    """
    if math.isnan(low) or math.isnan(high) or (math.isinf(low) and math.isinf(high)):
        return ""
    return f"[{number(low, decimals, signed=signed)}, {number(high, decimals, signed=signed)}]"


def with_interval(estimate: Estimate | None, decimals: int | None = None) -> str:
    """Format an estimate with its interval; empty if there is none.

    Examples
    --------
    >>> with_interval(Estimate(2.0, 1.0, 3.0, 5), 1)
    '2.0 [1.0, 3.0]'
    """
    if estimate is None:
        return ""
    bounds = interval(estimate.low, estimate.high, decimals)
    return f"{number(estimate.mean, decimals)} {bounds}".strip()


def rank_in_words(rank: float) -> str:
    """Format a mean rank that stands in place of a score; empty if it is NaN.

    Examples
    --------
    >>> rank_in_words(2.25), rank_in_words(float("nan"))
    ('rank 2.2', '')
    """
    return "" if math.isnan(rank) else f"rank {number(rank, 1)}"


def direction(*, higher_is_better: bool) -> str:
    """Return the direction of a metric in words."""
    return "higher is better" if higher_is_better else "lower is better"


def count(n: int, singular: str, plural: str = "") -> str:
    """Return a number with its noun.

    Examples
    --------
    >>> count(1, "task"), count(2, "task")
    ('1 task', '2 tasks')
    """
    return f"{n} {singular if n == 1 else plural or singular + 's'}"
