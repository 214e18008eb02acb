"""The code of classes of a notebook: what acts counts, also in other cells, and nothing else."""

from __future__ import annotations

import sys
import types

import pytest

from harmbench.util.source_code import code_version

HELPER = "FACTOR = 2\ndef helper(x):\n    return x * FACTOR\n"
CLASS = (
    "class Base:\n    alpha = 1.0\n"
    "class Mine(Base):\n    '''Docs.'''\n    steps = (1, 2)\n"
    "    def forward(self, x):\n        '''Docs.'''\n        return [helper(y) + 1 for y in x]\n"
)


@pytest.fixture
def notebook(monkeypatch):
    """Run cells in a module without a file; return the version of its class `Mine`."""
    module = types.ModuleType("notebook_of_test")
    monkeypatch.setitem(sys.modules, "notebook_of_test", module)

    def run(*cells):
        for cell in cells:
            exec(cell, vars(module))
        return code_version(module.Mine)

    return run


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("helper(y) + 1", "helper(y) + 2"),
        ("x * FACTOR", "x / FACTOR"),
        ("FACTOR = 2", "FACTOR = 3"),
        ("steps = (1, 2)", "steps = (1, 3)"),
        ("alpha = 1.0", "alpha = 2.0"),
    ],
)
def test_a_change_of_the_code_changes_the_version(notebook, old, new):
    first = notebook(HELPER, CLASS)
    assert notebook(HELPER.replace(old, new), CLASS.replace(old, new)) != first
    assert notebook(HELPER, CLASS) == first


def test_a_changed_function_counts_although_the_class_is_the_same(notebook):
    first = notebook(HELPER, CLASS)
    assert notebook(HELPER.replace("x * FACTOR", "x - FACTOR")) != first


@pytest.mark.parametrize(
    "change", [("'''Docs.'''", "'''Other docs.'''"), ("    def", "\n\n    def")]
)
def test_documentation_and_lines_do_not_count(notebook, change):
    first = notebook(HELPER, CLASS)
    assert notebook("UNUSED = 1", "# a comment", CLASS.replace(*change)) == first
