"""Comments are found by the positions of strings, also where a string contains the mark."""

from __future__ import annotations

import ast
import textwrap

import pytest

from harmbench.util.stripped_code import stripped

CASES = {
    "x = 1  # what": "x = 1",
    "x = '#'  # what": "x = '#'",
    "x = 'é#' + f'{y}#'  # é": "x = 'é#' + f'{y}#'",
    "# why\n\nx = 1": "x = 1",
    "x = '''\n# text\n'''  # what": "x = '''\n# text\n'''",
    "x = (\n    'a'  # first\n    # both\n    '#b'\n)": "x = (\n    'a'\n    '#b'\n)",
    "x = 'a\\\n# b'": "x = 'a\\\n# b'",
    "def f():\n    '''# Text.'''\n    return '#'  # 1": "def f():\n    return '#'",
}


@pytest.mark.parametrize("source", CASES)
def test_comments_and_docstrings_are_removed_and_strings_kept(source):
    assert stripped(source, ast.parse(source)) == CASES[source]


def test_the_docstring_of_a_class_on_the_line_of_the_class_is_kept():
    source = textwrap.dedent("""
        class A: "text"
        """)
    assert stripped(source, ast.parse(source)) == 'class A: "text"'
