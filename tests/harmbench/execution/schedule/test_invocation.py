"""Records of runs: which one is resumed, and by one process only."""

from __future__ import annotations

import pytest

from harmbench.errors import UserError
from harmbench.execution.plan.request import Request
from harmbench.execution.schedule.executors.options import ExecutorOptions
from harmbench.execution.schedule.invocation import Invocation, last_unfinished
from harmbench.execution.schedule.run_options import RunOptions

OPTIONS = RunOptions(request=Request(methods=("a",), tasks=("b",)))
EXECUTOR = ExecutorOptions("local", 2)


def resumed(home):
    """Return the run that would be resumed, and the options of its executor."""
    with last_unfinished(home) as (invocation, executor):
        return invocation, ExecutorOptions.from_json(executor)


def test_last_unfinished_returns_the_interrupted_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="no run was interrupted"):
        resumed(tmp_path)
    with Invocation.begin(tmp_path, OPTIONS, EXECUTOR.to_json()) as begun:
        pass  # interrupted
    invocation, executor = resumed(tmp_path)
    assert (invocation, executor) == (begun, EXECUTOR)
    assert (invocation.options, invocation.directory) == (OPTIONS, tmp_path)
    begun.end()
    with pytest.raises(UserError, match="no run was interrupted"):
        resumed(tmp_path)


def test_no_second_process_computes_a_run_from_its_begin_to_its_end(tmp_path):
    with Invocation.begin(tmp_path, OPTIONS, EXECUTOR.to_json()) as begun:
        line = f"^run {begun.folder.name} is being computed by another process"
        with pytest.raises(UserError, match=line):
            resumed(tmp_path)
    with last_unfinished(tmp_path), pytest.raises(UserError, match=line):
        resumed(tmp_path)
    assert resumed(tmp_path)[0] == begun


@pytest.mark.parametrize(
    "content", ["", "[]", '{"options": "{}", "executor": {}, "directory": ""}']
)
def test_options_that_cannot_be_read_are_one_line(tmp_path, content):
    with Invocation.begin(tmp_path, OPTIONS, EXECUTOR.to_json()) as begun:
        path = begun.folder / "options.json"
    path.write_text(content)
    with pytest.raises(UserError, match=f"^the options of the interrupted run {path} cannot be"):
        resumed(tmp_path)
