"""Final status of a job, as one process sends it to another."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from harmbench.contracts.cell import CellResult, Status
from harmbench.contracts.fit_progress import CurvePoint


@dataclass(frozen=True, kw_only=True)
class JobResult:
    """Final status of a fit or a cell; its result is in the store.

    Attributes
    ----------
    status
        `DONE`, `CACHED`, `FAILED` or `DIVERGED`; `PLANNED` if another process holds it.
    reason
        Why it failed or diverged; empty otherwise.
    facts, curves
        Of what failed or diverged: what is known of it in spite of that.
    result
        A cell's result, where it was computed by this very process.
    """

    status: Status
    reason: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)
    curves: Sequence[CurvePoint] = ()
    result: CellResult | None = field(default=None, repr=False)

    @property
    def bad(self) -> bool:
        """Whether nothing came of it."""
        return self.status in (Status.FAILED, Status.DIVERGED)

    def failure(self) -> CellResult:
        """Return the result of a cell that came to this, or whose fit did."""
        return CellResult(
            status=self.status, reason=self.reason, facts=self.facts, curves=tuple(self.curves)
        )

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON types, without the result."""
        return {
            "status": self.status.name,
            "reason": self.reason,
            "facts": dict(self.facts),
            # JSON knows no infinity and no not-a-number.
            "curves": [list(point) for point in self.curves if math.isfinite(point.value)],
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> JobResult:
        """Undo `to_json`."""
        return cls(
            status=Status[content["status"]],
            reason=content["reason"],
            facts=content["facts"],
            curves=[CurvePoint(*point) for point in content["curves"]],
        )
