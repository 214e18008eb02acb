"""Figures of a board that `harmbench figure` and the Python API draw."""

from __future__ import annotations

BOARD_FIGURES = {
    "intervals": "means over subjects with their 95 % intervals",
    "differences": "differences to a base, subject by subject, with their mean",
    "scatter": "values of subjects against those of a base",
}
