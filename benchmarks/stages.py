"""CPU seconds of each stage where a user waits.

For `harmonize` of a head, and for short commands::

    python benchmarks/stages.py head head_T1w.nii.gz $HARMBENCH_HOME --fits 3f2a 77b0
    python benchmarks/stages.py commands $HARMBENCH_HOME

`head` harmonises the scan by stored fits (beginnings of their keys), each repeat in a process and a
home of its own, so that no mask and no registration is stored. A stage does not include stages that
it calls. The CPU seconds are those of all threads of the process, user and system, which other
processes affect less than the wall time. `commands` starts each command as a process.
"""

from __future__ import annotations

import argparse
import builtins
import importlib
import json
import os
import resource
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

# Stage, and the functions that belong to it, each in the module that calls it.
HARMONIZE = "harmbench.harmonization."
STAGES = {
    "check before the fit": (HARMONIZE + "precheck.check_scan",),
    "read": (
        HARMONIZE + "scan.load_native",
        "harmbench.preprocessing.masking.load_volume",
    ),
    "head or brain, crop": (
        HARMONIZE + "scan.mask_scan",
        "harmbench.preprocessing.masking.mask_scan",
    ),
    "brain extraction": ("harmbench.preprocessing.masking.cached_mask",),
    "registration": ("harmbench.preprocessing.mask_agreement.cached_registration",),
    "check of the mask": (HARMONIZE + "scan.register_checked",),
    "N4": (HARMONIZE + "scan.correct_bias_field",),
    "load the fit": (HARMONIZE + "harmonizer.load_fitted",),
    "resampling to the grid": (HARMONIZE + "scan_change.whole_stack",),
    "windows, normalisation": (HARMONIZE + "scan_change.change_of_stack",),
    "method": (HARMONIZE + "stack_change.harmonized_by",),
    "resampling to the scan": (HARMONIZE + "scan_change.change_in_scan",),
    "familiarity": (HARMONIZE + "scan.familiarity",),
    "figure": (HARMONIZE + "scan.before_after",),
    "compression, writing": (HARMONIZE + "scan._contents", HARMONIZE + "scan.atomic_write_bytes"),
}
COMMANDS = ("--help", "list methods", "list tasks", "completion bash", "leaderboard")


class StageClock:
    """CPU seconds by stage; a stage that is called by another interrupts it."""

    def __init__(self) -> None:
        self.spent: Counter[str] = Counter()
        self._running = ["other"]
        self._since = 0.0  # start of the process

    def _switch(self) -> None:
        now = time.process_time()
        self.spent[self._running[-1]] += now - self._since
        self._since = now

    def timed(self, stage: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function with its time attributed to a stage."""

        def wrapper(*args: Any, **options: Any) -> Any:
            self._switch()
            self._running.append(stage)
            try:
                return function(*args, **options)
            finally:
                self._switch()
                self._running.pop()

        return wrapper

    def time_imports(self) -> None:
        """Attribute the time of imports to the stage `imports`."""
        builtins.__import__ = self.timed("imports", builtins.__import__)

    def time_stages(self) -> None:
        """Replace the functions of all stages by timed ones."""
        for stage, names in STAGES.items():
            for name in names:
                module_name, function = name.rsplit(".", 1)
                module = importlib.import_module(module_name)
                setattr(module, function, self.timed(stage, getattr(module, function)))

    def stop(self) -> None:
        """Attribute the time until now."""
        self._switch()


def harmonize_once(arguments: Sequence[str]) -> None:
    """Run `harmbench harmonize` in this process, and print the stages as JSON."""
    clock = StageClock()
    clock.time_imports()
    clock.timed("imports", clock.time_stages)()
    from harmbench.cli import main as command

    sys.argv = ["harmbench", "harmonize", *arguments]
    code: object = 0
    try:
        command()
    except SystemExit as end:
        code = end.code
    clock.stop()
    if code:
        raise SystemExit(f"harmbench harmonize ended with {code}")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps(clock.spent | {"peak MiB": peak}))


def repeat_head(scan: Path, home: Path, options: Sequence[str]) -> dict[str, float]:
    """Harmonise a scan in a new process and a home with the stored fits only."""
    with tempfile.TemporaryDirectory(prefix="harmbench-stages-") as folder:
        place = Path(folder)
        for name in ("fits", "cohorts"):
            if (home / name).exists():
                (place / name).symlink_to((home / name).resolve())
        words = [str(scan), "-o", str(place / "out.nii.gz"), *options]
        command = [sys.executable, __file__, "once", *words]
        start = time.perf_counter()
        done = subprocess.run(
            command,
            env=os.environ | {"HARMBENCH_HOME": folder},
            capture_output=True,
            text=True,
            check=False,
        )
        wall = time.perf_counter() - start
    if done.returncode:
        raise SystemExit(done.stderr)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    whole = sum(value for name, value in found.items() if name != "peak MiB")
    return found | {"all": whole, "wall": wall}


def print_stages(title: str, repeats: Sequence[dict[str, float]]) -> None:
    """Print medians and ranges; `wall` and the peak are of the whole process."""
    print(f"{title}: CPU seconds, median [least, most] of {len(repeats)}", flush=True)
    for name in ("imports", *STAGES, "other", "all", "wall", "peak MiB"):
        values = [found[name] for found in repeats if name in found]
        if values:
            middle = statistics.median(values)
            print(f"| {name} | {middle:.2f} [{min(values):.2f}, {max(values):.2f}] |", flush=True)


def print_commands(home: Path, commands: Sequence[str], repeats: int) -> None:
    """Print the CPU seconds and the wall time of commands."""
    for words in commands:
        spent, wall = [], []
        for _ in range(repeats):
            before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
            subprocess.run(
                [Path(sys.executable).with_name("harmbench"), *shlex.split(words)],
                env=os.environ | {"HARMBENCH_HOME": str(home)},
                capture_output=True,
                check=True,
            )
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            spent.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
            wall.append(time.perf_counter() - start)
        print(
            f"| `harmbench {words}` | {statistics.median(spent):.2f} "
            f"[{min(spent):.2f}, {max(spent):.2f}] | {statistics.median(wall):.2f} |",
            flush=True,
        )


def main() -> None:
    """Print the tables."""
    if sys.argv[1:2] == ["once"]:
        harmonize_once(sys.argv[2:])
        return
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    kinds = parser.add_subparsers(dest="table", required=True)
    head = kinds.add_parser("head")
    head.add_argument("scan", type=Path)
    head.add_argument("home", type=Path)
    head.add_argument("--fits", nargs="+", required=True)
    head.add_argument("--repeats", type=int, default=3)
    commands = kinds.add_parser("commands")
    commands.add_argument("home", type=Path)
    commands.add_argument("--also", nargs="+", default=(), help="further commands, quoted")
    commands.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    if args.table == "commands":
        print_commands(args.home, (*COMMANDS, *args.also), args.repeats)
        return
    for fit in args.fits:
        options = ["--fit", fit]
        found = [repeat_head(args.scan, args.home, options) for _ in range(args.repeats)]
        print_stages(f"fit {fit}", found)


if __name__ == "__main__":
    main()
