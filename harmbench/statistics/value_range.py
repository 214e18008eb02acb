"""Intervals of means that lie in a range, such as shares and absolute differences."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from scipy.special import ndtri

from harmbench.statistics.estimate import Estimate
from harmbench.statistics.resampling import COVERAGE


@dataclass(frozen=True)
class ValueRange:
    """The range of a metric.

    Attributes
    ----------
    low, high
        The smallest and the largest possible value.
    share
        Whether the metric is a share of events, such as of harmed scans: each scan has 0 or 1.

    Examples
    --------
    >>> ValueRange(low=0).interval(Estimate(3.6, -0.44, 7.7, 8))
    Estimate(mean=3.6, low=0, high=7.7, n=8)
    """

    low: float = -math.inf
    high: float = math.inf
    share: bool = False

    def interval(self, estimate: Estimate) -> Estimate:
        """Return an estimate of a mean with an interval within the range.

        The mean of values in the range is in the range, so a bound outside excludes nothing, and
        cutting it off keeps the coverage. A share has the interval of E. B. Wilson ("Probable
        Inference, the Law of Succession, and Statistical Inference", Journal of the American
        Statistical Association 1927) for a share of n subjects, also where all or none have the
        event. Of values in [0, 1] with a given mean, those that are 0 or 1 have the largest
        variance, so it holds for the mean over subjects of their shares of scans, too.
        """
        if self.share and estimate.n > 0 and math.isfinite(estimate.mean):
            low, high = _wilson(estimate.mean, estimate.n)
        else:
            low, high = (_within(bound, self) for bound in (estimate.low, estimate.high))
        return replace(estimate, low=low, high=high)

    def encode(self) -> str:
        """Return the range as a short text."""
        return "share" if self.share else f"{self.low:g} {self.high:g}"

    @staticmethod
    def decode(text: str) -> ValueRange:
        """Return the range of a text of `encode`."""
        if text == "share":
            return SHARE
        low, high = map(float, text.split())
        return ValueRange(low, high)


UNBOUNDED = ValueRange()
NOT_NEGATIVE = ValueRange(low=0.0)
UNIT = ValueRange(0.0, 1.0)
SHARE = ValueRange(0.0, 1.0, share=True)


def in_ranges(
    estimates: Mapping[str, Estimate], ranges: Mapping[str, ValueRange]
) -> dict[str, Estimate]:
    """Return estimates with their intervals within the ranges, by metric."""
    return {
        name: ranges.get(name, UNBOUNDED).interval(estimate) for name, estimate in estimates.items()
    }


def encode_ranges(ranges: Mapping[str, ValueRange]) -> str:
    """Return the ranges by metric as a short text, without unbounded ones.

    Examples
    --------
    >>> text = encode_ranges({"harm": ValueRange(0, 40), "harmed": SHARE, "psnr": UNBOUNDED})
    >>> text, decode_ranges(text)["harmed"] == SHARE
    ('harm=0 40,harmed=share', True)
    """
    return ",".join(f"{name}={each.encode()}" for name, each in ranges.items() if each != UNBOUNDED)


def decode_ranges(text: str) -> dict[str, ValueRange]:
    """Return the ranges of a text of `encode_ranges`."""
    pairs = (part.partition("=") for part in text.split(",") if part)
    return {name: ValueRange.decode(value) for name, _, value in pairs}


def _within(bound: float, values: ValueRange) -> float:
    return bound if math.isnan(bound) else min(max(bound, values.low), values.high)


def _wilson(share: float, n: int) -> tuple[float, float]:
    """Return the bounds of Wilson's interval of a share of n subjects."""
    z = float(ndtri((1 + COVERAGE) / 2))
    middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    reach = z / (1 + z**2 / n) * math.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    # Exact at the ends, where rounding would leave 1e-17.
    low = 0.0 if share == 0 else max(0.0, middle - reach)
    return low, 1.0 if share == 1 else min(1.0, middle + reach)
