"""Source code without comments, docstrings and blank lines."""

from __future__ import annotations

import ast
import io
import tokenize


def stripped(source: str, tree: ast.Module) -> str:
    r"""Return source code without comments, docstrings and blank lines.

    Parameters
    ----------
    source, tree
        The code, and the same parsed.

    Examples
    --------
    >>> code = "# Why\nx = '#'  # what\n"
    >>> stripped(code, ast.parse(code))
    "x = '#'"
    """
    lines = source.splitlines()
    nodes = list(ast.walk(tree))
    for row, column in _comments(source, lines, nodes).items():
        lines[row - 1] = lines[row - 1][:column]
    for node in nodes:
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            first = node.body[0] if node.body else None
            if (
                isinstance(first, ast.Expr)
                and isinstance(first.value, ast.Constant)
                and isinstance(first.value.value, str)
                and first.lineno > getattr(node, "lineno", 0)
            ):
                for row in range(first.lineno, (first.end_lineno or first.lineno) + 1):
                    lines[row - 1] = ""
    return "\n".join(text for line in lines if (text := line.rstrip()))


def _comments(source: str, lines: list[str], nodes: list[ast.AST]) -> dict[int, int]:
    """Return the column where a comment starts, by row.

    The tree has the positions of strings, so that a `#` outside of them starts a comment. This
    takes a third of the time of a tokenizer. Only strings of several lines leave it open: a
    comment may lie between the parts of one.
    """
    marked = {row for row, line in enumerate(lines, start=1) if "#" in line}
    if not marked:
        return {}
    strings: dict[int, list[range]] = {}
    for node in nodes:
        if isinstance(node, ast.JoinedStr) or (
            isinstance(node, ast.Constant) and isinstance(node.value, (str, bytes))
        ):
            first, last = node.lineno, node.end_lineno or node.lineno
            if first == last:
                strings.setdefault(first, []).append(
                    range(node.col_offset, node.end_col_offset or 0)
                )
            elif not marked.isdisjoint(range(first, last + 1)):
                return _tokenized_comments(source)
    starts = {row: _first_mark(lines[row - 1], strings.get(row, [])) for row in marked}
    return {row: column for row, column in starts.items() if column is not None}


def _first_mark(line: str, strings: list[range]) -> int | None:
    """Return the column of the first `#` outside of the strings, whose columns count bytes."""
    content = line.encode()
    position = content.find(b"#")
    while position >= 0 and any(position in string for string in strings):
        position = content.find(b"#", position + 1)
    return len(content[:position].decode()) if position >= 0 else None


def _tokenized_comments(source: str) -> dict[int, int]:
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return dict(token.start for token in tokens if token.type == tokenize.COMMENT)
