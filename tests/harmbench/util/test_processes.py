"""Work in processes: every result comes, on one thread, and workers end with their parent."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from harmbench.errors import UserError
from harmbench.util.processes import in_processes
from helpers.interruption import wait_for


def square(item, offset):
    assert torch.get_num_threads() == 1
    return item**2 + offset, os.getpid()


def vanish(item):
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.fixture
def light_torch(tmp_path):
    """A folder with a module in place of torch that only keeps the number of threads.

    Each worker would take seconds to import torch.
    """
    folder = tmp_path / "light"
    folder.mkdir()
    (folder / "torch.py").write_text(
        "threads = 8\n"
        "def get_num_threads():\n"
        "    return threads\n"
        "def set_num_threads(count):\n"
        "    global threads\n"
        "    threads = count\n"
    )
    return folder


@pytest.mark.parametrize("least", [1, 100])
def test_every_item_has_its_result(least, light_torch, monkeypatch):
    monkeypatch.syspath_prepend(light_torch)  # of the workers: this process has imported torch
    result = dict(in_processes(square, range(6), 10, least=least))
    assert {item: value for item, (value, _) in result.items()} == {i: i**2 + 10 for i in range(6)}
    in_this_process = {process for _, process in result.values()} == {os.getpid()}
    assert in_this_process == (least == 100 or len(os.sched_getaffinity(0)) == 1)


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs two processors")
def test_a_killed_worker_is_one_error(light_torch, monkeypatch):
    monkeypatch.syspath_prepend(light_torch)
    with pytest.raises(UserError, match="killed a worker.*memory.*kept"):
        list(in_processes(vanish, range(4)))


@pytest.fixture
def parent(tmp_path, light_torch):
    """A process with two sleeping workers, and the folder with one file per worker."""
    module = tmp_path / "sleepy.py"
    module.write_text(
        "import os, pathlib, signal, time\n"
        "from harmbench.util.processes import in_processes\n"
        "def sleep(item, folder):\n"
        "    if item == 0:\n"
        "        return\n"
        "    pathlib.Path(folder, str(os.getpid())).touch()\n"
        "    time.sleep(600)\n"
        "if __name__ == '__main__':\n"
        # A background job of a shell ignores Ctrl-C.
        "    signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "    import sleepy, sys\n"
        "    for item, _ in in_processes(sleepy.sleep, range(4), sys.argv[1], most=2):\n"
        "        pathlib.Path(sys.argv[1] + '.finished').write_text(str(item))\n"
    )
    started = tmp_path / "started"
    started.mkdir()
    process = subprocess.Popen(
        [sys.executable, module, started],
        env={**os.environ, "PYTHONPATH": f"{light_torch}{os.pathsep}{tmp_path}"},
        start_new_session=True,
    )
    wait_for(lambda: len(list(started.iterdir())) >= 2)
    yield process, started
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs two processors")
def test_workers_end_with_a_parent_that_is_killed(parent):
    process, started = parent
    process.kill()
    process.wait()
    workers = [int(path.name) for path in started.iterdir()]
    wait_for(lambda: not any(alive(worker) for worker in workers))


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs two processors")
@pytest.mark.parametrize(
    "send",
    [
        pytest.param(os.kill, id="parent", marks=pytest.mark.slow),
        pytest.param(os.killpg, id="group"),
    ],
)
def test_an_interrupt_ends_running_workers_and_keeps_finished_items(parent, send):
    process, started = parent
    wait_for(lambda: started.with_suffix(".finished").exists())
    send(process.pid, signal.SIGINT)
    # Python itself ends so after a KeyboardInterrupt that nothing catches.
    assert process.wait(timeout=30) == -signal.SIGINT
    assert started.with_suffix(".finished").read_text() == "0"
    workers = [int(path.name) for path in started.iterdir()]
    wait_for(lambda: not any(alive(worker) for worker in workers))


def alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().split()[2] != "Z"
    except FileNotFoundError:
        return False
