"""An order: what was asked for and how it is to be computed, as a text for other processes."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harmbench.data.cohort_request import CohortRequest
from harmbench.data.prepare_options import PrepareOptions
from harmbench.execution.plan.request import Request


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """Everything that another process needs to compute works of the same plan.

    Attributes
    ----------
    request
        What the user asked for.
    plugins
        Single-file plugins that were named on the command line.
    device
        As on the command line: `auto`, `cpu`, `cuda`, `cuda:N` or `mps`.
    threads
        Threads of each process; torch's default if None.
    deterministic
        Whether an operation without a deterministic form is an error.
    max_memory
        What a process may take, in MiB, of the device's memory (of the machine's, if the
        device is the CPU); None for all there is.
    """

    request: Request
    plugins: tuple[Path, ...] = ()
    device: str = "auto"
    threads: int | None = None
    deterministic: bool = False
    max_memory: int | None = None

    def to_json(self) -> str:
        """Return the order in one line."""
        return json.dumps(dataclasses.asdict(self), default=str)

    @classmethod
    def from_json(cls, text: str) -> RunOptions:
        """Undo `to_json`."""
        content: dict[str, Any] = json.loads(text)
        request: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in content.pop("request").items()
        }
        cohort = request["cohort"]
        cohort["options"] = PrepareOptions(**cohort["options"])
        if cohort["recipe"] is not None:
            cohort["recipe"] = Path(cohort["recipe"])
        request["cohort"] = CohortRequest(**cohort)
        plugins = tuple(map(Path, content.pop("plugins")))
        return cls(request=Request(**request), plugins=plugins, **content)
