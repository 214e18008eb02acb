from __future__ import annotations

import os
import sys

import pytest

from harmbench.errors import UserError
from harmbench.external.command_file import CommandFile
from harmbench.external.program import Program


@pytest.fixture
def program(tmp_path):
    (tmp_path / "tool.py").write_text("print(1)")

    def build(**keys):
        values = {
            "name": "tool",
            "summary": "a tool",
            "apply": ("{python}", "tool.py", "{input}", "{output}"),
        }
        return Program(file=CommandFile(**{**values, **keys}), path=tmp_path / "tool.toml")

    return build


def executable(path, text):
    path.write_text(f"#!{sys.executable}\n{text}\n")
    path.chmod(0o755)
    return path


def test_a_relative_path_becomes_absolute(program, tmp_path) -> None:
    (tmp_path / "conf").write_text("")
    arguments = program(apply=("{python}", "tool.py", "--conf=conf", "{input}", "{output}")).apply
    assert arguments[1:3] == [f"{tmp_path}/tool.py", f"--conf={tmp_path}/conf"]


def test_the_sources_are_the_toml_file_and_its_scripts(program, tmp_path) -> None:
    (tmp_path / "tool.toml").write_text("name = 'tool'")
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "part.py").write_text("2")
    (tmp_path / "weights").write_bytes(bytes(2**20 + 1))
    command = ("sh", "tool.py", "--weights=weights", "{input}", "{output}")
    assert program(apply=command, files=("parts",)).sources == {
        "tool.toml": b"name = 'tool'",
        "tool.py": b"print(1)",
        "parts_part.py": b"2",
    }


def test_the_script_counts_and_the_summary_does_not(program, tmp_path) -> None:
    first = program().identity
    assert program(summary="another", timeout=1).identity == first
    assert program(environment={"A": "1"}).identity != first
    (tmp_path / "tool.py").write_text("print(2)")
    assert program().identity != first
    (tmp_path / "tool.py").write_text("print(1)")
    assert program().identity == first


def test_further_files_and_folders_count(program, tmp_path) -> None:
    weights = tmp_path / "weights" / "a.pt"
    weights.parent.mkdir()
    weights.write_text("1")
    first = program(files=("weights",)).identity
    weights.write_text("2")
    assert program(files=("weights",)).identity != first
    with pytest.raises(UserError, match="there is no '.*/absent'"):
        _ = program(files=("absent",)).identity


def test_a_program_on_the_path_counts_unless_a_command_tells_its_version(
    program, tmp_path, monkeypatch
) -> None:
    tool = executable(tmp_path / "bin-tool", "print('v1')")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    elsewhere = tmp_path / "plugins"
    elsewhere.mkdir()

    def identity(**keys):
        file = program(apply=("bin-tool", "{input}", "{output}"), **keys).file
        return Program(file=file, path=elsewhere / "tool.toml").identity

    first, versioned = identity(), identity(version_command=("bin-tool",))
    executable(tool, "# another\nprint('v1')")
    assert identity() != first
    assert identity(version_command=("bin-tool",)) == versioned
    executable(tool, "print('v2')")
    assert identity(version_command=("bin-tool",)) != versioned


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"apply": ("no-such-tool", "{input}", "{output}")}, "there is no program 'no-such-tool'"),
        ({"version_command": ("no-such-tool",)}, "cannot be started"),
        ({"version_command": ("{python}", "-c", "1/0")}, "exit code 1: ZeroDivisionError"),
        ({"version_command": ("{python}", "-c", "pass")}, "no output"),
    ],
)
def test_a_program_that_cannot_be_identified_is_an_error_in_one_line(
    program, keys, message
) -> None:
    with pytest.raises(UserError, match=message) as caught:
        _ = program(**keys).identity
    assert "\n" not in str(caught.value)
