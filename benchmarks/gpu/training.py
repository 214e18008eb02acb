"""Training of the paper preset for some minutes, by `harmbench run` itself.

The run is then ended. Its checkpoints, one a minute, are in the folder of the setting, so the next
call continues from there.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch

from gpu.setting import Setting
from harmbench_methods.blindharmony.config import PRESETS

_SECONDS_TO_END = 300.0
_POINTS = 10


def measure(setting: Setting) -> dict[str, Any]:
    """Return steps, seconds, the projected hours of all steps, and the loss so far."""
    home = setting.folder / "home"
    cohort, preset = ("phantom:8", "quick") if setting.reduced else ("phantom", "paper")
    before = _state(home)[0]
    command = [str(Path(sys.executable).with_name("harmbench")), "run", "-m", "blindharmony"]
    command += ["--task", "sim-exp", "--cohort", cohort, "--preset", preset]
    command += ["--device", str(setting.device)]
    log = setting.folder / "training.log"
    with log.open("ab") as stream:
        process = subprocess.Popen(
            command,
            env=os.environ | {"HARMBENCH_HOME": str(home)},
            stdout=stream,
            stderr=stream,
        )
        try:
            finished = process.wait(setting.minutes * 60) == 0
        except subprocess.TimeoutExpired:
            finished = False
            process.terminate()
            process.wait(_SECONDS_TO_END)
    if process.returncode not in (0, -signal.SIGTERM, 128 + signal.SIGTERM):
        raise RuntimeError(f"harmbench run ended with code {process.returncode}; see {log}")
    if finished:
        return {"preset": preset, "finished": True, "resumed at": before}
    step, seconds, losses = _state(home)
    steps = PRESETS[preset].training_steps
    return {
        "preset": preset,
        "finished": False,
        "resumed at": before,
        "step": step,
        "steps": steps,
        "seconds": seconds,
        "projected hours": steps * seconds / step / 3600 if step else None,
        "loss": losses,
    }


def _state(home: Path) -> tuple[int, float, list[tuple[int, float]]]:
    """Return step, seconds and some points of the loss of the newest checkpoint; zeros if none."""
    files = sorted(home.glob("fits/.*.checkpoints/*.pt"), key=lambda path: path.stat().st_mtime)
    if not files:
        return 0, 0.0, []
    content = torch.load(files[-1], map_location="cpu", weights_only=True)
    losses = [(step, value) for step, name, value in content["curves"] if name.endswith("loss")]
    chosen = losses[:: max(1, len(losses) // _POINTS)]
    return content["state"]["parts"]["record"]["step"], content["seconds"], chosen
