"""All checks of methods, in the order in which they run."""

from __future__ import annotations

from harmbench.testing.checks import CheckList
from harmbench.testing.method_candidate import MethodCandidate
from harmbench.testing.method_declaration_checks import DECLARATION_CHECKS
from harmbench.testing.method_output_checks import OUTPUT_CHECKS
from harmbench.testing.method_repeat_checks import REPEAT_CHECKS
from harmbench.testing.method_stack_checks import STACK_CHECKS

METHOD_CHECKS: CheckList[MethodCandidate] = CheckList(
    [*DECLARATION_CHECKS, *OUTPUT_CHECKS, *REPEAT_CHECKS, *STACK_CHECKS]
)
