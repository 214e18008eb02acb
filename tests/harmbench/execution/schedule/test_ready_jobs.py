"""Which job starts next: quick results early, and no longer a run."""

from __future__ import annotations

import heapq

import pytest

from harmbench.execution.schedule.jobs import Job
from harmbench.execution.schedule.ready_jobs import ReadyJobs


class Work:
    """Stands for a cell in a simulated run."""

    fit = None


def job(key, seconds, after=()):
    return Job(key=key, title=key, payload=Work(), after=frozenset(after), seconds=seconds)


def simulated(jobs, workers):
    """Return when each job ends, on workers that take as long as was estimated."""
    jobs = {each.key: each for each in jobs}
    queue, waiting = ReadyJobs(jobs), {key: set(each.after) for key, each in jobs.items()}
    running, ends, now = [], {}, 0.0
    while len(ends) < len(jobs):
        for key in [key for key, after in waiting.items() if not after]:
            del waiting[key]
            queue.add(key)
        while queue.ready and len(running) < workers:
            key = queue.start(now)
            heapq.heappush(running, (now + jobs[key].seconds, key))
        now, key = heapq.heappop(running)
        ends[key] = now
        queue.end(key)
        for after in waiting.values():
            after.discard(key)
    return ends


LONG = [job("long fit", 600.0), job("long cell", 5.0, ["long fit"])]
QUICK = [job("quick fit", 3.0), *(job(f"quick {i}", 1.0, ["quick fit"]) for i in range(20))]


@pytest.mark.parametrize("workers", [1, 2, 3])
@pytest.mark.parametrize("order", [LONG + QUICK, QUICK + LONG], ids=["long first", "quick first"])
def test_quick_results_do_not_wait_for_a_long_fit(order, workers):
    ends = simulated(order, workers)
    assert ends["quick 0"] <= 5
    assert max(ends[each.key] for each in QUICK) < ends["long fit"]


def test_the_run_is_as_short_as_without_quick_results_first():
    # Two long fits and many short jobs on two workers: half of the work for each is the shortest.
    work = [job("a", 100.0), job("b", 90.0), *(job(f"s{i}", 1.0) for i in range(50))]
    ends = simulated(work, 2)
    assert max(ends.values()) <= 121
    assert ends["s0"] == 1


def test_one_long_chain_starts_at_once_beside_quick_jobs():
    ends = simulated(LONG + QUICK, 2)
    assert ends["long fit"] == 600
    assert max(ends.values()) == 605
