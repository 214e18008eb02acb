"""Notes below a board: legend, limits of the tests, seeds, warnings and missing numbers."""

from __future__ import annotations

from collections.abc import Iterator

from harmbench.leaderboard.board import Board, Row
from harmbench.leaderboard.formatting import count
from harmbench.leaderboard.overall import RESAMPLES
from harmbench.statistics.hypothesis import LEVEL, smallest_p

# Marks numbers that were computed with other library versions, or on another class of device.
UNUSUAL = "†"
# Flagged scans whose reason is shown.
_SHOWN = 2


def notes(board: Board) -> list[str]:
    """Return the notes on a board, one a line."""
    parts = (_legend, _tests, _seeds, _environments, _flags, _missing)
    return [note for part in parts for note in part(board)]


def _legend(board: Board) -> Iterator[str]:
    if any(row.control for row in board.rows):
        yield "* control: reference only, not ranked"
    if board.bounds:
        yield "° reference value, measured by the task itself: not a method"
    scores = [score for row in board.rows for score in row.scores.values()]
    if any(score.n > 1 for score in scores):
        yield "[ ]: 95 % bootstrap interval over subjects, each averaged over slices and seeds"
    if any(score.tier for score in scores):
        yield (
            "(1), (2), ...: tiers; no significant difference to the best of the tier (Wilcoxon's "
            f"signed-rank test over subjects, Holm-adjusted, {100 * LEVEL:.0f} % level)"
        )
    if any(len(score.seeds) > 1 for score in scores):
        yield "×3 ±0.1: 3 seeds, and the standard deviation over seeds of the mean over subjects"
    if len(board.tasks) > 1 and board.methods:
        yield (
            f"rank: mean over {len(board.tasks)} tasks, and its 95 % interval over subjects "
            f"({RESAMPLES} resamples); a task without a number counts as the last rank"
        )
    placed = [row.normalized for row in board.methods if row.normalized is not None]
    if placed:
        scale = "share of the floor's error removed" if board.measure.unit == "dB" else "linear"
        yield (
            f"score: floor 0, reference line 1 ({scale}), mean over "
            f"{count(placed[0].n, 'task')} with both; a task without a number counts as 0; the "
            "reference line is a rescan on the target scanner where one exists, else the truth; a "
            "rescan has noise, so a score may exceed 1"
        )
    elif board.methods:
        yield "score: none, since no task has both a floor and a reference line that differ"


def _tests(board: Board) -> Iterator[str]:
    too_few: dict[tuple[int, int], list[str]] = {}
    untested: dict[str, list[str]] = {}
    for task in board.tasks:
        scores = {row.label: row.scores[task] for row in board.methods if task in row.scores}
        tested = [score for score in scores.values() if score.tier is not None]
        most = max((score.n for score in tested), default=0)
        if len(tested) > 1 and smallest_p(most, len(tested) - 1) > LEVEL:
            too_few.setdefault((most, len(tested)), []).append(task)
        for label, score in scores.items():
            if score.has_value and score.tier is None:
                untested.setdefault(label, []).append(task)
    for (subjects, methods), tasks in too_few.items():
        yield (
            f"{', '.join(tasks)}: with {count(subjects, 'test subject')} no difference between "
            f"{methods} methods can reach significance (smallest p = "
            f"{smallest_p(subjects, methods - 1):.2g}): all share a tier"
        )
    for label, tasks in untested.items():
        yield f"{label} on {', '.join(tasks)}: no mean over subjects, so not tested"


def _seeds(board: Board) -> Iterator[str]:
    for task in board.tasks:
        labels_by_seeds: dict[tuple[int, ...], list[str]] = {}
        for row in board.methods:
            if task in row.scores and row.scores[task].has_value:
                labels_by_seeds.setdefault(row.scores[task].seeds, []).append(row.label)
        if len(labels_by_seeds) > 1:
            texts = "; ".join(
                f"{', '.join(map(str, seeds))} of {', '.join(labels)}"
                for seeds, labels in labels_by_seeds.items()
            )
            yield f"{task}: seeds differ ({texts}); tests compare the common seeds"


def _environments(board: Board) -> Iterator[str]:
    by_difference: dict[str, list[str]] = {}
    for row in board.rows:
        for task, score in row.scores.items():
            if unusual := board.unusual(score):
                usual = board.usual_environment
                text = ", ".join(
                    f"{name} {version} instead of {usual.get(name, 'none')}"
                    for name, version in sorted(unusual.items())
                )
                by_difference.setdefault(text, []).append(f"{row.label} on {task}")
    for difference, cells in by_difference.items():
        yield f"{UNUSUAL} {', '.join(cells)}: computed with {difference}"


def _flags(board: Board) -> Iterator[str]:
    for row in board.rows:
        for task, score in row.scores.items():
            if score.flags:
                # Reasons may contain numbers of the scan, so only a few are shown.
                flags = [f"{scan}: {reason}" for scan, reason in sorted(score.flags.items())]
                rest = [f"and {len(flags) - _SHOWN} more"] if len(flags) > _SHOWN else []
                yield (
                    f"{row.label} on {task}: warns of {count(len(flags), 'scan')} "
                    f"({'; '.join([*flags[:_SHOWN], *rest])})"
                )


def _missing(board: Board) -> Iterator[str]:
    for row in board.rows:
        absent = [task for task in board.tasks if task not in row.scores]
        reasons: dict[tuple[str, str], list[str]] = {}
        for task, score in row.scores.items():
            if not score.has_value:
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
    return f"{row.n_scored} of {count(len(board.tasks), 'task')}"
