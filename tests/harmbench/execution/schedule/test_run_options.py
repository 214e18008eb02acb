from __future__ import annotations

from pathlib import Path

import pytest

from harmbench.data.cohort_request import CohortRequest
from harmbench.data.prepare_options import PrepareOptions
from harmbench.execution.plan.request import Request
from harmbench.execution.schedule.run_options import RunOptions
from harmbench.external.submission_request import SubmissionRequest

COHORT = CohortRequest("bids:/data", Path("a.toml"), options=PrepareOptions(n4=True))


@pytest.mark.parametrize(
    "submission", [None, SubmissionRequest(folder=Path("/images"), name="tool", author="A")]
)
def test_options_are_read_back_in_another_process(submission) -> None:
    request = Request(methods=("a",), tasks=("b",), cohort=COHORT, submission=submission)
    options = RunOptions(request=request, plugins=(Path("p.py"),), threads=2)
    assert RunOptions.from_json(options.to_json()) == options
