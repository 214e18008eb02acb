"""A board in Python: shown as a table in a notebook."""

from __future__ import annotations

import pandas as pd

from harmbench.leaderboard.board import Board
from harmbench.leaderboard.printed_table import PrintedTable
from harmbench.leaderboard.tidy import tidy

_WIDTH = 100  # characters of a table as text


class BoardResult:
    """A board: methods by tasks for one metric.

    Attributes
    ----------
    board
        The board with its statistics.
    """

    def __init__(self, board: Board, table: PrintedTable) -> None:
        self.board = board
        self._table = table

    def frame(self) -> pd.DataFrame:
        """Return one row for each method and task, as `harmbench leaderboard --format csv`."""
        return tidy(self.board)

    def __repr__(self) -> str:
        return self._table.as_text(_WIDTH)

    def _repr_html_(self) -> str:
        return self._table.as_html()
