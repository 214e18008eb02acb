"""`harmbench check`, as a user calls it."""

from __future__ import annotations

import pytest

from helpers import PLUGINS

METHODS = ("--plugin", PLUGINS / "broken_methods.py")
TASKS = ("--plugin", PLUGINS / "broken_tasks.py")


def test_a_sound_method_and_a_sound_task(inside):
    code, out, err = inside("check", "sound", "sound-task", *METHODS, *TASKS)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == "method sound"
    assert "task sound-task" in lines
    assert lines[-1].startswith("all checks passed, ")
    assert lines[-1].endswith(" skipped")
    (resume,) = [line for line in lines if "resume" in line]
    assert resume.split(maxsplit=2)[:2] == ["skipped", "resume"]
    assert "keeps no checkpoints" in resume
    costs = [line.split(maxsplit=1)[1] for line in lines if line.startswith("  costs")]
    assert len(costs) == 2
    assert costs[0].startswith("fit ")
    assert "MiB of peak memory" in costs[0]


def test_a_failure_has_three_parts(inside):
    code, out, _ = inside("check", "doubles", "praises-errors", *METHODS, *TASKS)
    assert code == 1
    lines = [line.strip() for line in out.splitlines()]
    assert lines[-1] == "4 checks failed"  # both also have the name of the sound one
    index = lines.index("failed           range")
    assert lines[index + 1].startswith("expected  intensities in [0, 1]")
    assert lines[index + 2].startswith("got       they span [0, ")
    assert lines[index + 3].startswith("fix       end `forward` with images.clamp(0, 1)")
    assert "failed           order" in lines


def test_one_check_and_an_expected_failure(inside):
    code, out, _ = inside("check", "excused", "--only", "range", *METHODS)
    assert code == 0
    assert out.splitlines()[1] == "  expected failure range          to have one"


def test_skipped_checks_are_not_reported_as_passed(inside):
    code, out, _ = inside("check", "sound", "--only", "registration", *METHODS)
    reason = "a single file is loaded with everything it imports"
    assert (code, out.splitlines()[-1]) == (1, f"no check applied to method sound: {reason}")


def test_checks_are_listed(inside):
    code, out, _ = inside("check", "--list")
    assert code == 0
    assert "  range          All intensities it returns lie in [0, 1]." in out.splitlines()
    sentence = "No reference and no repeat is among the scans that anything is fitted on."
    assert f"  withheld       {sentence}" in out


def test_a_function_in_two_lines_is_checked_and_run(inside, tmp_path):
    """After a change, it is computed again, without a new version."""
    file = tmp_path / "squares.py"
    text = """
from harmbench import as_method, hookimpl
Squared = as_method(lambda x: x**2, "squared")

@hookimpl
def register_methods():
    return {"squared": Squared}
"""
    file.write_text(text)
    code, out, _ = inside("check", "squared", "--plugin", file)
    assert code == 0, out
    tiny = ("--cohort", "tiny", "--plugin", PLUGINS / "tiny_cohort.py")
    arguments = ("run", "-m", "squared", "-t", "sim-exp", "--plugin", file, *tiny)
    assert "1 cell: 1 done; 0 fits" in inside(*arguments)[1]
    assert "1 cell: 1 cached" in inside(*arguments)[1]
    file.write_text(text.replace("**2", "**3"))
    assert "1 cell: 1 done; 0 fits" in inside(*arguments)[1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "nothing to check"),
        (["soundd", *METHODS], "no method or task 'soundd'; did you mean 'sound'?"),
        (["sound", "--only", "rnage", *METHODS], "no check 'rnage'; did you mean 'range'?"),
    ],
)
def test_mistakes(mistake, arguments, message):
    assert message in mistake("check", *arguments)
