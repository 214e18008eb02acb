"""Every test file is named after the source file that it tests."""

from __future__ import annotations

import pytest

from helpers import ROOT

TESTS = ROOT / "tests"
# Folders without a source folder: they test the whole, or the documentation.
FREE = ("end_to_end", "docs")
# Files that test no single source file, with the reason.
EXCEPTIONS = {
    "harmbench/cli/test_mistakes.py": "the error lines of all commands",
    "harmbench/cli/test_startup.py": "what the start of any command imports",
    "harmbench/test_package.py": "the public names of the package",
    "methods/test_package.py": "what the package registers",
    "tasks/test_faulty_methods.py": "each task notices its own fault",
    "test_mirror.py": "this file",
}
FILES = [
    path.relative_to(TESTS)
    for path in sorted(TESTS.rglob("test_*.py"))
    if path.relative_to(TESTS).parts[0] not in FREE
]


def has_source(file):
    """Whether test_X.py or test_X_ASPECT.py has a source X.py, or a package X, in its folder."""
    words = file.stem.removeprefix("test_").split("_")
    names = ["_".join(words[:count]) for count in range(1, len(words) + 1)]
    folder = ROOT / file.parent
    return any(
        (folder / f"{prefix}{name}.py").is_file() or (folder / name / "__init__.py").is_file()
        for name in names
        for prefix in ("", "_")
    )


@pytest.mark.parametrize("file", FILES, ids=str)
def test_every_test_file_has_a_source_file(file):
    assert has_source(file) != (file.as_posix() in EXCEPTIONS)


def test_every_exception_exists():
    assert {*EXCEPTIONS} <= {file.as_posix() for file in FILES}
