"""All checks of tasks, in the order in which they run."""

from __future__ import annotations

from harmbench.testing.checks import CheckList
from harmbench.testing.task_candidate import TaskCandidate
from harmbench.testing.task_score_checks import SCORE_CHECKS
from harmbench.testing.task_setup_checks import SETUP_CHECKS

TASK_CHECKS: CheckList[TaskCandidate] = CheckList([*SETUP_CHECKS, *SCORE_CHECKS])
