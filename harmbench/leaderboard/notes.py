"""What must be said under a board, so that nobody reads more out of it than there is."""

from __future__ import annotations

from collections.abc import Iterator

from harmbench.leaderboard.overall import RESAMPLES
from harmbench.leaderboard.table import Board, Row
from harmbench.statistics.hypothesis import LEVEL, smallest_p

# Of so many flagged scans it is said why.
_TOLD = 2


def notes(board: Board) -> list[str]:
    """Return the remarks on a board, one a line."""
    return [*_legend(board), *_tests(board), *_seeds(board), *_flags(board), *_missing(board)]


def _legend(board: Board) -> Iterator[str]:
    if any(row.control for row in board.rows):
        yield "* control: bounds the scale, is no competitor"
    if board.bounds:
        yield "° to be seen against: no method, measured by the task itself"
    scores = [score for row in board.rows for score in row.scores.values()]
    if any(score.n > 1 for score in scores):
        yield "[ ]: 95 % bootstrap interval over subjects, who are averaged over slices and seeds"
    if any(score.tier for score in scores):
        yield (
            "(1), (2), ...: tiers; within one nobody can be told from its best (Wilcoxon's "
            f"signed-rank test over subjects, Holm-corrected, {100 * LEVEL:.0f} % level)"
        )
    if any(len(score.seeds) > 1 for score in scores):
        yield "×3 ±0.1: 3 seeds, and the standard deviation among them of the mean over subjects"
    if len(board.tasks) > 1 and board.methods:
        yield (
            f"rank: mean over {len(board.tasks)} tasks, and its 95 % interval over subjects "
            f"({RESAMPLES} resamples); a task without a number counts as the last rank"
        )
    placed = [row.normalized for row in board.methods if row.normalized is not None]
    if placed:
        what = "the share of the floor's error that is gone" if _decibels(board) else "linear"
        yield (
            f"score: 0 as the floor, 1 as the ceiling ({what}), mean over {placed[0].n} tasks "
            "that have both; a task without a number counts as 0"
        )
    elif board.methods:
        yield "score: none, since no task has both a floor and a ceiling that span a scale"


def _decibels(board: Board) -> bool:
    return board.measure.unit == "dB"


def _tests(board: Board) -> Iterator[str]:
    few: dict[tuple[int, int], list[str]] = {}
    silent: dict[str, list[str]] = {}
    for task in board.tasks:
        scores = {row.label: row.scores[task] for row in board.methods if task in row.scores}
        tested = [score for score in scores.values() if score.tier is not None]
        most = max((score.n for score in tested), default=0)
        if len(tested) > 1 and smallest_p(most, len(tested) - 1) > LEVEL:
            few.setdefault((most, len(tested)), []).append(task)
        for label, score in scores.items():
            if score.known and score.tier is None:
                silent.setdefault(label, []).append(task)
    for (subjects, methods), tasks in few.items():
        yield (
            f"{', '.join(tasks)}: {_count(subjects, 'person', 'people')} cannot tell "
            f"{methods} methods apart (the smallest p possible is "
            f"{smallest_p(subjects, methods - 1):.2g}): all share a tier"
        )
    for label, tasks in silent.items():
        yield f"{label} on {', '.join(tasks)}: no mean over subjects, so not tested"


def _seeds(board: Board) -> Iterator[str]:
    for task in board.tasks:
        found: dict[tuple[int, ...], list[str]] = {}
        for row in board.methods:
            if task in row.scores and row.scores[task].known:
                found.setdefault(row.scores[task].seeds, []).append(row.label)
        if len(found) > 1:
            told = "; ".join(
                f"{', '.join(map(str, seeds))} of {', '.join(labels)}"
                for seeds, labels in found.items()
            )
            yield f"{task}: seeds differ ({told}); tests compare those in common"


def _flags(board: Board) -> Iterator[str]:
    for row in board.rows:
        for task, score in row.scores.items():
            if score.flags:
                # Its reasons may tell of each scan's own numbers: some stand for all.
                told = [f"{scan}: {reason}" for scan, reason in sorted(score.flags.items())]
                rest = [f"and {len(told) - _TOLD} more"] if len(told) > _TOLD else []
                yield (
                    f"{row.label} on {task}: it warns of {_count(len(told), 'scan', 'scans')} "
                    f"({'; '.join([*told[:_TOLD], *rest])})"
                )


def _missing(board: Board) -> Iterator[str]:
    for row in board.rows:
        absent = [task for task in board.tasks if task not in row.scores]
        reasons: dict[tuple[str, str], list[str]] = {}
        for task, score in row.scores.items():
            if not score.known:
                status = "no number" if score.status == "done" else score.status
                reasons.setdefault((status, score.reason), []).append(task)
        if absent:
            reasons["not run", ""] = absent
        if reasons:
            yield f"{row.label} has {_known(row, board)}"
        for (status, reason), tasks in reasons.items():
            why = f": {reason}" if reason else ""
            yield f"{row.label} on {', '.join(tasks)}: {status}{why}"


def _known(row: Row, board: Board) -> str:
    return f"{row.known} of {_count(len(board.tasks), 'task', 'tasks')}"


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"
