"""Names of subjects in the reference values of a record."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any


def renamed(
    bounds: Mapping[str, Mapping[str, Mapping[str, Any]]], rename: Callable[[str], str]
) -> dict[str, dict[str, dict[str, Any]]]:
    """Return reference values, by title and metric, with other names of their subjects.

    The subjects are in the order of the new names, since the old order is a hint.

    Examples
    --------
    >>> renamed({"repeat": {"psnr": {"n": 2, "subjects": {"a": 30.0, "b": 31.0}}}}, str.upper)
    {'repeat': {'psnr': {'n': 2, 'subjects': {'A': 30.0, 'B': 31.0}}}}
    """
    return {
        title: {
            metric: {
                name: dict(sorted((rename(who), v) for who, v in value.items()))
                if name == "subjects"
                else value
                for name, value in number.items()
            }
            for metric, number in numbers.items()
        }
        for title, numbers in bounds.items()
    }
