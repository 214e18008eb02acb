"""What a reader may choose about a ranking."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from harmbench.errors import UserError


@dataclass(frozen=True, kw_only=True)
class RankingOptions:
    """Choices of a ranking.

    Attributes
    ----------
    variants
        Whether methods with changed settings are ranked and tested as well.
    weights
        Weights of the families' votes; 1 for a family that is not named.
    margin
        Differences below it count as irrelevant, in the metric's unit; methods are then tested
        for equivalence. None: no claim of equivalence.
    """

    variants: bool = False
    weights: Mapping[str, float] = field(default_factory=dict)
    margin: float | None = None

    def ranked(self, *, label: str, method: str, control: str) -> bool:
        """Return whether a row is ranked."""
        return not control and (self.variants or label == method)


def parse_weights(texts: Iterable[str], families: Iterable[str]) -> dict[str, float]:
    """Parse `FAMILY=NUMBER`.

    Raises
    ------
    UserError
        For another form, an unknown family, or a weight that is negative or no number.

    Examples
    --------
    >>> parse_weights(["scanners=2", "curves=0"], ["curves", "scanners"])
    {'scanners': 2.0, 'curves': 0.0}
    """
    known = list(families)
    weights = {}
    for text in texts:
        name, _, number = text.partition("=")
        if name not in known:
            raise UserError.unknown("family", name, known)
        try:
            weight = float(number)
        except ValueError:
            weight = -1.0
        if not 0 <= weight < float("inf"):
            raise UserError(
                f"--weights {text}: the weight must be a number from 0 on, such as {name}=2"
            )
        weights[name] = weight
    return weights
