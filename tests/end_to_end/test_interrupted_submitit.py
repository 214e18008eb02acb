"""Jobs of submitit's processes on this machine: interrupted four times, and resumed."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess

import pytest

from helpers import PLUGINS, TINY_COHORT, words
from helpers.interruption import interruptible, wait_for

RUN = (
    *words("run -m identity -m counts -m hangs -t domain1 --executor submitit --gpus 0 --cpus 1"),
    *(f"--plugin={PLUGINS / name}" for name in ("odd_methods.py", "sample_plugin.py")),
    *map(str, TINY_COHORT),
)
SECONDS = 300  # for each step, on a machine under load
QUICK = ("identity", "counts")  # these cells are stored before the first interruption


def jobs(home):
    """Return the process ids of the jobs on a home."""
    pattern = f"submitit.core._submit {home}"
    found = subprocess.run(["pgrep", "-f", pattern], capture_output=True, text=True, check=False)
    return [int(line) for line in found.stdout.split()]


class Interruptions:
    """A run with a cell that hangs, and the log of the cells that were begun."""

    def __init__(self, start, folder):
        self.home, self.hangs = folder / "home", folder / "hangs"
        self.log, self.fits = folder / "hooks.log", folder / "fits.log"
        self.start = start
        self.hangs.touch()

    def begin(self, *arguments):
        return self.start(
            *arguments,
            HANGS_WHILE=str(self.hangs),
            COUNTS_LOG=str(self.fits),
            SAMPLE_PLUGIN_LOG=str(self.log),
        )

    def begun(self, method):
        """Return how often the cell of a method was begun."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return lines.count(f"before {method} on domain1, seed 0")

    def is_hanging(self, times):
        """Return whether the cell hangs that was begun some times, and no other job is left."""
        stored = len(list(self.home.glob("cells/[!.]*/result.json")))
        hanging = self.begun("hangs") == times and self.hangs.read_text() == "hanging"
        return hanging and stored == len(QUICK) and len(jobs(self.home)) == 1

    def wait(self, process, times):
        """Wait until the cell hangs for the given time, counted from 1."""
        wait_for(lambda: self.is_hanging(times), process, SECONDS)
        self.hangs.write_text("")

    def stop(self, process, times, number):
        """Send a signal to a run while its cell hangs; return its exit code."""
        self.wait(process, times)
        process.send_signal(number)
        code = process.wait(SECONDS)
        # A job that survives holds the other end, so there is no end of file to read to.
        process.stdout.close()
        process.stderr.close()
        return code


@pytest.fixture
def run(start, tmp_path):
    made = Interruptions(start, tmp_path)
    yield made
    made.hangs.unlink(missing_ok=True)  # so that no job is left if the test fails


@pytest.mark.timeout(1800)
def test_four_interruptions_repeat_only_the_cell_in_flight(run):
    with interruptible():
        first = run.begin(*RUN)
    run.wait(first, 1)
    (job,) = jobs(run.home)
    os.kill(job, signal.SIGKILL)  # 1: the run itself submits the job again
    assert run.stop(first, 2, signal.SIGINT) == 130  # 2
    wait_for(lambda: not jobs(run.home), seconds=SECONDS)
    run.hangs.write_text("")

    second = run.begin("resume")
    run.wait(second, 3)
    (folder,) = run.home.glob("runs/*/logs/jobs")
    shutil.rmtree(folder)  # 3: submitit's own files
    (job,) = jobs(run.home)
    os.kill(job, signal.SIGKILL)
    assert run.stop(second, 4, signal.SIGKILL) == -signal.SIGKILL  # 4
    assert jobs(run.home), "the job ended with the process that submitted it"

    third = run.begin("resume")
    wait_for(lambda: len(jobs(run.home)) == 2, third, SECONDS)
    run.hangs.unlink()
    out, err = third.communicate(timeout=SECONDS)
    assert third.returncode == 0, err
    assert "3 cached" in out  # the job that survived has finished the cell
    assert [run.begun(method) for method in (*QUICK, "hangs")] == [1, 1, 4]
    assert run.fits.read_text() == "seed 0\n"
