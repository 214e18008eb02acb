"""The machine, and the versions of what runs on it."""

from __future__ import annotations

import platform
import subprocess
from pathlib import Path
from typing import Any

import torch

from gpu.setting import Setting


def measure(setting: Setting) -> dict[str, Any]:
    """Return the names of device and processor, versions, and the commit."""
    device = setting.device
    facts: dict[str, Any] = {
        "device": platform.processor() or platform.machine(),
        "cores": torch.get_num_threads(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "commit": _commit(),
    }
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        facts |= {
            "device": properties.name,
            "memory_gib": round(properties.total_memory / 2**30, 1),
            "capability": ".".join(map(str, torch.cuda.get_device_capability(device))),
            "cuda": torch.version.cuda,
            "cudnn": torch.backends.cudnn.version(),
        }
    return facts


def _commit() -> str:
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip()
