"""The number of processes follows from the memory of the machine and of its control groups."""

from __future__ import annotations

import pytest

from harmbench.util import available_memory as module
from harmbench.util.available_memory import affordable, available_memory
from harmbench.util.progress import Silent

GB = 2**30


class Log(Silent):
    def __init__(self):
        self.lines = []

    def log(self, text):
        self.lines.append(text)


@pytest.fixture
def machine(tmp_path):
    """Write a machine's files; a group is (limit, usage, cached files)."""

    def write(available=None, version=2, group=None, outer=None):
        proc = tmp_path / "proc" / "self"
        proc.mkdir(parents=True)
        if available is not None:
            text = f"MemTotal: 999 kB\nMemAvailable: {available // 1024} kB\n"
            (tmp_path / "proc" / "meminfo").write_text(text)
        top = tmp_path / "sys" / "fs" / "cgroup" / ("" if version == 2 else "memory")
        names = {
            1: ("limit_in_bytes", "usage_in_bytes", "total_inactive_file"),
            2: ("max", "current", "inactive_file"),
        }[version]
        line = "0::/job/step" if version == 2 else "4:memory:/job/step"
        (proc / "cgroup").write_text(f"9:pids:/other\n{line}\n")
        for folder, values in ((top / "job" / "step", group), (top / "job", outer)):
            if values is not None:
                folder.mkdir(parents=True, exist_ok=True)
                (folder / f"memory.{names[0]}").write_text(f"{values[0]}\n")
                (folder / f"memory.{names[1]}").write_text(f"{values[1]}\n")
                (folder / "memory.stat").write_text(f"anon 5\n{names[2]} {values[2]}\n")
        return tmp_path

    return write


def test_the_memory_of_the_machine_counts_without_a_group(machine):
    assert available_memory(machine(available=8 * GB)) == 8 * GB


@pytest.mark.parametrize("version", [1, 2])
def test_the_tightest_group_counts_and_cached_files_are_available(machine, version):
    group, outer = (6 * GB, 3 * GB, GB), (5 * GB, 2 * GB, 0)
    root = machine(available=64 * GB, version=version, group=group, outer=outer)
    assert available_memory(root) == 3 * GB


def test_a_group_without_a_limit_does_not_count(machine):
    root = machine(available=8 * GB, group=("max", 3 * GB, 0))
    assert available_memory(root) == 8 * GB


def test_a_group_over_its_limit_has_nothing_left(machine):
    assert available_memory(machine(available=GB, group=(GB, 2 * GB, 0))) == 0


def test_no_answer_is_unknown(tmp_path):
    assert available_memory(tmp_path) is None


@pytest.mark.parametrize(
    ("available", "needs", "most", "count", "message"),
    [
        (16 * GB, [4 * GB] * 8, 8, 4, "note: 4 instead of 8 processes"),
        (16 * GB, [4 * GB] * 8, 4, 4, None),
        (16 * GB, [GB] * 3, 8, 3, None),
        (5 * GB, [4 * GB, GB, GB], 2, 2, None),
        (5 * GB, [4 * GB, GB, 3 * GB], 2, 1, "needs up to 4.0 GB of memory, and 5.0 GB are"),
        (2 * GB, [4 * GB] * 2, 2, 1, "warning: a scan needs up to 4.0 GB"),
        (None, [4 * GB] * 9, 9, 9, None),
        (GB, [], 4, 1, None),
    ],
)
def test_processes_fit_into_memory(monkeypatch, available, needs, most, count, message):
    monkeypatch.setattr(module, "available_memory", lambda: available)
    log = Log()
    assert affordable(needs, most, log) == count
    assert [message in line for line in log.lines] == ([] if message is None else [True])
