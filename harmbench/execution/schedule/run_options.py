"""Options of a run, which worker processes receive as JSON."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harmbench.data.cohort_request import CohortRequest
from harmbench.data.prepare_options import PrepareOptions
from harmbench.execution.plan.request import Request
from harmbench.external.submission_request import SubmissionRequest


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """Everything that another process needs to compute jobs of the same plan.

    Attributes
    ----------
    request
        Methods, tasks, cohort, preset, seeds and settings.
    plugins
        Single-file plugins from the command line.
    device
        `auto`, `cpu`, `cuda`, `cuda:N` or `mps`.
    threads
        Threads of each process; torch's default if None.
    deterministic
        Whether an operation without a deterministic form is an error.
    max_memory
        Limit of each process in MiB: on the device's memory, or on the machine's if the device
        is the CPU; None for no limit.
    """

    request: Request
    plugins: tuple[Path, ...] = ()
    device: str = "auto"
    threads: int | None = None
    deterministic: bool = False
    max_memory: int | None = None

    def to_json(self) -> str:
        """Return the options as one line of JSON."""
        return json.dumps(dataclasses.asdict(self), default=str)

    @classmethod
    def from_json(cls, text: str) -> RunOptions:
        """Read the result of `to_json`."""
        content: dict[str, Any] = json.loads(text)
        request: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in content.pop("request").items()
        }
        for name in ("cohort", "fit_cohort"):
            if request[name] is not None:
                request[name] = _cohort_request(request[name])
        submission = request["submission"]
        if submission is not None:
            submission["folder"] = Path(submission["folder"])
            request["submission"] = SubmissionRequest(**submission)
        plugins = tuple(map(Path, content.pop("plugins")))
        return cls(request=Request(**request), plugins=plugins, **content)


def _cohort_request(content: dict[str, Any]) -> CohortRequest:
    for name in ("recipe", "split_file"):
        content[name] = None if content[name] is None else Path(content[name])
    return CohortRequest(**{**content, "options": PrepareOptions(**content["options"])})
