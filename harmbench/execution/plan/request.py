"""The methods, tasks and cohort that the user requests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from harmbench.data.cohort_request import CohortRequest
from harmbench.external.submission_request import SubmissionRequest


@dataclass(frozen=True, kw_only=True)
class Request:
    """What to run; patterns may be globs.

    Attributes
    ----------
    methods, tasks
        Names or globs.
    targets
        Names of the target domains, or `"each"`; the cohort's own target if there are none.
    cohort
        The cohort, and how it is prepared.
    fit_cohort
        The cohort that all fits are made on; None for `cohort` itself.
    preset, seeds
        `"quick"` or `"paper"`, and the base seeds.
    split
        `"test"`, or `"tuning"` to score validation subjects (`harmbench.data.tuning`).
    folds
        Number of folds of the cross-validation (`harmbench.data.folds`); 0 for none.
    assignments
        Texts `name.field=value`; the name is that of a method or of a task's instrument.
    ablations
        Whether to run the ablations of the methods, too.
    submission
        Images that were harmonised elsewhere, scored besides the methods; or None.
    """

    methods: Sequence[str]
    tasks: Sequence[str]
    targets: Sequence[str] = ()
    cohort: CohortRequest = field(default_factory=CohortRequest)
    fit_cohort: CohortRequest | None = None
    preset: str = "quick"
    split: str = "test"
    folds: int = 0
    seeds: Sequence[int] = (0,)
    assignments: Sequence[str] = ()
    ablations: bool = False
    submission: SubmissionRequest | None = None

    @property
    def split_title(self) -> str:
        """Split of the cells, as in `Cell`: `"test"`, `"tuning"` or `"5 folds"`."""
        return f"{self.folds} folds" if self.folds else self.split
