"""Compact letter display: methods that share a letter do not differ significantly."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt


def compact_letters(significant: npt.NDArray[np.bool_], order: Sequence[int]) -> list[str]:
    """Assign letters, so that two methods share one exactly if they do not differ.

    Insert-and-absorb (H.-P. Piepho, "An Algorithm for a Letter-Based Representation of
    All-Pairwise Comparisons", Journal of Computational and Graphical Statistics 2004): starts
    with one letter for all; every significant pair splits each letter that both have; a letter
    whose methods all have another letter is absorbed. Letters that are not needed are then
    left out (sweeping).

    Parameters
    ----------
    significant
        `(k, k)`, symmetric: which pairs differ significantly.
    order
        The k methods, best first. Letters are assigned in this order, from "a".

    Returns
    -------
    list of str
        The letters of each method, ascending; after "z" follow "A" to "Z", then "a1", "b1"
        and so on.

    Examples
    --------
    The first differs from the third only:

    >>> compact_letters(np.array([[0, 0, 1], [0, 0, 0], [1, 0, 0]], dtype=bool), [0, 1, 2])
    ['a', 'ab', 'b']
    """
    columns = [frozenset(order)]
    for position, i in enumerate(order):
        for j in order[position + 1 :]:
            if significant[i, j]:
                split = [
                    part
                    for column in columns
                    for part in ((column - {i}, column - {j}) if {i, j} <= column else (column,))
                ]
                columns = _absorbed(split)
    position_of = {method: position for position, method in enumerate(order)}
    columns = _swept(columns)
    columns.sort(key=lambda column: sorted(position_of[method] for method in column))
    return [
        "".join(_letter(index) for index, column in enumerate(columns) if method in column)
        for method in range(len(order))
    ]


def _absorbed(columns: list[frozenset[int]]) -> list[frozenset[int]]:
    """Leave out the columns that are part of another one."""
    unique = list(dict.fromkeys(columns))
    return [column for column in unique if not any(column < other for other in unique)]


def _swept(columns: list[frozenset[int]]) -> list[frozenset[int]]:
    """Leave out columns all of whose pairs, and methods, other columns share as well."""
    for column in sorted(columns, key=len):
        others = [other for other in columns if other != column]
        if all(any({i, j} <= other for other in others) for i in column for j in column):
            columns = others
    return columns


def _letter(index: int) -> str:
    letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
    cycle, position = divmod(index, len(letters))
    return letters[position] + (str(cycle) if cycle else "")
