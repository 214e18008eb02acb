"""Measure all parts, each in a new process, and write a JSON file and a page.

    python -m gpu.run_parts --minutes 30 --page ../docs/gpu.md

Parts that are measured already are not repeated (`--again` repeats them), except the training,
which continues. A part that fails, or takes too long, is recorded with the reason.
"""

from __future__ import annotations

import argparse
import importlib
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from gpu.setting import Setting, add_options, setting_of
from gpu.table import PARTS, page

_MOST_SECONDS = 3600.0  # of one part, besides the minutes of training
_CONTINUES = "training"


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_options(parser)
    parser.add_argument("--only", choices=PARTS, nargs="+", default=list(PARTS))
    parser.add_argument("--again", action="store_true", help="repeat parts that are measured")
    parser.add_argument("--page", type=Path, help="write the tables to this Markdown file")
    parser.add_argument("--part", choices=PARTS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    setting = setting_of(options)
    if options.part:
        print(json.dumps(importlib.import_module(f"gpu.{options.part}").measure(setting)))
        return
    path = setting.folder / "results.json"
    results = _earlier(path, setting)
    for name in options.only:
        done = "result" in results["parts"].get(name, {})
        if done and name != _CONTINUES and not options.again:
            print(f"{name}: measured already", flush=True)
            continue
        results["parts"][name] = part = _measured(name, setting)
        print(f"{name}: {part.get('error', 'measured')} ({part['seconds']:.0f} s)", flush=True)
        path.write_text(json.dumps(results, indent=1) + "\n")
    text = page(results)
    if options.page:
        options.page.write_text(text)
    print(f"\n{text}\nwrote {path}")
    failed = any("error" in results["parts"].get(name, {}) for name in options.only)
    raise SystemExit(int(failed))


def _earlier(path: Path, setting: Setting) -> dict[str, Any]:
    """Return earlier results of the same device and size, or none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    head = {"device": str(setting.device), "reduced": setting.reduced}
    if path.exists():
        results: dict[str, Any] = json.loads(path.read_text())
        if all(results[name] == value for name, value in head.items()):
            return results
    return {**head, "parts": {}}


def _measured(name: str, setting: Setting) -> dict[str, Any]:
    """Measure a part in a new process."""
    command = [sys.executable, "-m", "gpu.run_parts", "--part", name, *setting.arguments]
    started = time.monotonic()
    try:
        done = subprocess.run(
            command,
            cwd=Path(__file__).parents[1],
            capture_output=True,
            text=True,
            timeout=_MOST_SECONDS + 60 * setting.minutes,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        return {"error": f"no result after {error.timeout:.0f} s", "seconds": error.timeout}
    seconds = time.monotonic() - started
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        return {"error": lines[-1], "seconds": seconds}
    return {"result": json.loads(done.stdout.splitlines()[-1]), "seconds": seconds}


if __name__ == "__main__":
    main()
