"""Jobs of a cluster survive more time limits than submitit allows by default."""

from __future__ import annotations

import pytest

from harmbench.execution.plan.request import Request
from harmbench.execution.schedule.executors.submitted import Resources, Submitted
from harmbench.execution.schedule.run_options import RunOptions

submitit = pytest.importorskip("submitit")


def test_a_job_may_exceed_its_time_limit_a_hundred_times(tmp_path):
    options = RunOptions(request=Request(methods=("identity",), tasks=("sim-exp",)))
    executor = Submitted(options, tmp_path, tmp_path / "logs", Resources(), "local")
    with executor._cluster.batch():
        sent = executor._cluster.submit(print)
    # What submitit counts down with every time limit, in the file that the job reads.
    delayed = submitit.core.utils.DelayedSubmission.load(sent.paths.submitted_pickle)
    assert delayed._timeout_countdown == 100
    sent.result()


def test_the_queue_is_filled_again_when_half_of_it_has_ended(tmp_path):
    options = RunOptions(request=Request(methods=("identity",), tasks=("sim-exp",)))
    executor = Submitted(options, tmp_path, tmp_path / "logs", Resources(), "local")
    executor._most_sent = 4
    free = []
    for count in range(5):
        executor._sent = dict.fromkeys(map(str, range(count)))
        free.append(executor.free)
    assert free == [4, 3, 2, 0, 0]
    # An array that is being filled is filled completely.
    executor._unsent = [None]
    executor._sent = dict.fromkeys("abc")
    assert executor.free == 0
    executor._sent = dict.fromkeys("ab")
    assert executor.free == 1
