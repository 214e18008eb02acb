"""Training steps per second of two processes on one device, relative to one process."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from gpu.setting import Setting, add_options, duration, setting_of

_MOST_WAITING = 300.0  # seconds until all processes are ready


def measure(setting: Setting) -> dict[str, Any]:
    """Return steps per second of one process, and of both of two together."""
    alone = _steps_per_second(setting, 1)
    together = _steps_per_second(setting, 2)
    return {"one process": alone, "two processes": together, "ratio": together / alone}


def _steps_per_second(setting: Setting, processes: int) -> float:
    """Run processes that train at the same time; return the sum of their steps per second."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "gpu.sharing", *setting.arguments, "--meet", folder]
        running = [
            subprocess.Popen(
                [*command, "--of", str(processes), "--number", str(number)],
                stdout=subprocess.PIPE,
                text=True,
                cwd=Path(__file__).parents[1],
            )
            for number in range(processes)
        ]
        outputs = [process.communicate()[0] for process in running]
    if any(process.returncode for process in running):
        raise RuntimeError(f"a process of {processes} failed")
    return sum(json.loads(output.splitlines()[-1]) for output in outputs)


def main() -> None:
    """Train in one of several processes, and print its steps per second."""
    from flow import Bench

    parser = argparse.ArgumentParser(description=__doc__)
    add_options(parser)
    parser.add_argument("--meet", type=Path, required=True, help="folder where processes meet")
    parser.add_argument("--of", type=int, required=True, help="number of processes")
    parser.add_argument("--number", type=int, required=True)
    options = parser.parse_args()
    setting = setting_of(options)
    torch.set_num_threads(max(1, torch.get_num_threads() // options.of))
    batch = 2 if setting.reduced else None
    bench = Bench("quick", setting.device, batch=batch, slices=2, iterations=1)
    step = bench.operations("ours", bench.state())["training step"]
    step()
    (options.meet / str(options.number)).touch()
    started = time.monotonic()
    while len(list(options.meet.iterdir())) < options.of:
        if time.monotonic() - started > _MOST_WAITING:
            raise SystemExit("the other process did not start")
        time.sleep(0.01)
    steps = 4 if setting.reduced else 200

    def train() -> None:
        for _ in range(steps):
            step()

    print(steps / duration(train, setting.device))


if __name__ == "__main__":
    main()
