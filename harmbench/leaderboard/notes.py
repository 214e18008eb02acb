"""Notes below a board: resolution, legend, seeds, warnings and missing numbers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from harmbench.leaderboard.board import Board, Row
from harmbench.leaderboard.families import Comparison, FamilyComparison
from harmbench.leaderboard.formatting import count
from harmbench.leaderboard.measure import Measure
from harmbench.leaderboard.overall import RESAMPLES
from harmbench.leaderboard.resolution import resolution
from harmbench.leaderboard.standings import Standing, Standings
from harmbench.statistics.max_t import LEVEL

# Marks numbers that were computed with other library versions, or on another class of device.
UNUSUAL = "†"
# Marks a method with results of an imported bundle.
IMPORTED = "¶"
# Tasks that a note names; it counts more of them.
_MOST_TASKS = 24
# Flagged scans whose reason is shown.
_SHOWN = 2
# Below this number of subjects intervals of skewed values are too narrow.
_ENOUGH_FOR_SKEWED = 10


def notes(board: Board) -> list[str]:
    """Return the notes on a board, one a line; what it can resolve comes first."""
    parts = (
        _resolution,
        _equivalence,
        _legend,
        _received,
        _pooled,
        _comparison,
        _overall,
        _without_vote,
        _seeds,
        _environments,
        _versions_of_code,
        _flags,
        _missing,
    )
    return [note for part in parts for note in part(board)]


def standings_notes(standings: Standings) -> list[str]:
    """Return the notes on standings, one a line; what they can resolve comes first."""
    lines = list(resolution(standings.comparison))
    for family in standings.families:
        columns = [column for column in standings.columns if column.family == family]
        metrics: dict[str, list[str]] = {}
        for column in columns:
            metrics.setdefault(column.measure.name, []).append(column.task)
        texts = "; ".join(f"{_named(tasks)} by {name}" for name, tasks in metrics.items())
        lines.append(f"{family}: {texts}")
    if any(part.standard_gain for part in standings.comparison.families):
        lines.append(
            f"+1.2: better than {standings.floor} by 1.2 of its standard deviations between "
            "subjects, mean over the family's tasks, and its 95 % interval over subjects"
        )
    lines += _submitted(standings.rows)
    lines += _imported(standings.rows, [column.task for column in standings.columns])
    lines += _versions_of_code(standings)
    lines += _letters(standings.comparison)
    voted = [f"{name} {weight:g}" for name, weight in standings.weights.items() if weight != 1]
    weights = f" (weights: {', '.join(voted)}, others 1)" if voted else ""
    lines.append(_rank(len(standings.rows), weights))
    if standings.unranked_tasks:
        lines.append(
            f"without a vote, or without a metric that ranks: {', '.join(standings.unranked_tasks)}"
        )
    return lines


def _resolution(board: Board) -> Iterator[str]:
    if board.comparison is not None:
        yield from resolution(board.comparison)
    if not board.measure.ranks:
        yield (
            "compared with the reference line, not ranked: a value better than that of a rescan "
            "is a fault as well"
        )
    few = min(
        (score.n for row in board.rows for score in row.scores.values() if score.n > 1),
        default=_ENOUGH_FOR_SKEWED,
    )
    if few < _ENOUGH_FOR_SKEWED:
        yield (
            f"with {few} subjects the intervals of skewed values cover less than 95 % "
            "(docs: Statistics)"
        )


def _equivalence(board: Board) -> Iterator[str]:
    if board.comparison is None:
        return
    for family in board.comparison.families:
        if family.equivalent is None:
            continue
        pairs = [
            f"{first} and {second}"
            for i, first in enumerate(family.labels)
            for j, second in enumerate(family.labels)
            if i < j and family.equivalent[i, j]
        ]
        yield f"{family.family}: equivalent within the margin: {'; '.join(pairs) or 'no pair'}"


def _legend(board: Board) -> Iterator[str]:
    if any(row.control for row in board.rows):
        yield "* control: reference only, not ranked"
    if any(row.role == "variant" for row in board.rows):
        yield "‡ variant with changed settings: not ranked; --variants ranks it"
    yield from _submitted(board.rows)
    yield from _imported(board.rows, board.tasks)
    if board.bounds:
        yield "° reference value, measured by the task itself: not a method"
    scores = [score for row in board.rows for score in row.scores.values()]
    if any(score.n > 1 for score in scores):
        yield "[ ]: 95 % interval over subjects, each averaged over slices and seeds"
    if any(score.from_reference is not None for score in scores):
        yield (
            "Δ: difference to the reference line, subject by subject: to a rescan on the target "
            "scanner where one exists, else to the truth"
        )
    if any(len(score.seeds) > 1 for score in scores):
        yield "×3 ±0.1: 3 seeds, and the standard deviation over seeds of the mean over subjects"


def _submitted(rows: Sequence[Row | Standing]) -> Iterator[str]:
    for row in rows:
        if row.submission:
            names = ("author", "date", "reference")
            origin = [row.submission[name] for name in names if row.submission.get(name)]
            images = f"images {row.submission['digest'][:8]}"
            yield (
                f"§ {row.label}: submitted, harmonised elsewhere ({', '.join([*origin, images])})"
            )


def _imported(rows: Sequence[Row | Standing], tasks: Sequence[str]) -> Iterator[str]:
    """Say which numbers are from which bundle."""
    labels: dict[str, list[str]] = {}
    for row in rows:
        for origin, of_bundle in row.bundles.items():
            some = [task for task in tasks if task in of_bundle]
            on = "" if len(some) == len(tasks) else f" on {', '.join(some)}"
            labels.setdefault(origin, []).append(f"{row.label}{on}")
    for origin, named in labels.items():
        yield f"{IMPORTED} imported from {origin}: {', '.join(named)}"


def _received(board: Board) -> Iterator[str]:
    """Say which methods were fitted on all sites, and which know covariates."""
    labels: dict[str, list[str]] = {}
    for row in board.rows:
        if row.receives:
            labels.setdefault(row.receives, []).append(row.label)
    for receives, named in labels.items():
        yield f"{', '.join(named)}: {receives}"


def _pooled(board: Board) -> Iterator[str]:
    for family, pooled in board.pooled.items():
        tasks = board.tasks_of(family)
        targets = sorted({board.columns[task].target for task in tasks})
        yield (
            f"{family}, all targets: mean over subjects of each subject's mean over sources and "
            f"over the targets {', '.join(targets)} ({count(len(tasks), 'task')}); single tasks: "
            "--target NAME"
        )
        others = [row.label for row in board.rows if row.label not in pooled]
        if others:
            yield (
                f"{family}, all targets: without {', '.join(others)}, which have no values by "
                "subject on some tasks"
            )


def _comparison(board: Board) -> Iterator[str]:
    if board.comparison is None:
        return
    for family in board.comparison.several:
        if family.gain:
            yield (
                f"{family.family}: mean difference to {board.floor} over {_groups(family)}, and "
                "its 95 % interval over subjects"
            )
    yield from _letters(board.comparison)


def _named(tasks: Sequence[str]) -> str:
    return ", ".join(tasks) if len(tasks) <= _MOST_TASKS else f"{len(tasks)} tasks"


def _groups(family: FamilyComparison) -> str:
    """Return the tasks of a family, near-duplicates in brackets."""
    if len(family.columns) > _MOST_TASKS:
        return f"its {len(family.columns)} tasks"
    groups: dict[str, list[str]] = {}
    for column in family.columns:
        groups.setdefault(column.group, []).append(column.task)
    return ", ".join(
        tasks[0] if len(tasks) == 1 else f"({' + '.join(tasks)})" for tasks in groups.values()
    )


def _letters(comparison: Comparison) -> Iterator[str]:
    compared = [family for family in comparison.families if len(family.labels) > 1]
    if compared:
        yield (
            "a, b, ...: methods that share a letter do not differ significantly (sign-flip "
            "permutation of subjects, max-T over all pairs"
            f"{' and families' if len(compared) > 1 else ''}, family-wise "
            f"{100 * LEVEL:.0f} % level, {count(comparison.n, 'subject')})"
        )
    for family in comparison.families:
        if family.incomplete:
            yield (
                f"{family.family}: not tested, since not all tasks have values by subject: "
                f"{', '.join(family.incomplete)}"
            )


def _overall(board: Board) -> Iterator[str]:
    ranked = [row for row in board.rows if row.ranked]
    if len(board.tasks) > 1 and ranked:
        yield _rank(len(ranked))
    scored = [row.normalized for row in ranked if row.normalized is not None]
    if scored:
        yield (
            f"score: floor 0, reference line 1 ({_scale(board.measure)}), mean over "
            f"{count(scored[0].n, 'task')} on which they differ by more than the reference line's "
            "noise; a task without a number counts as 0; a rescan has noise, so a score may "
            "exceed 1"
        )
    elif ranked:
        yield (
            "score: none, since no task has a reference line that is better than the floor by "
            "more than its noise"
        )


def _rank(methods: int, weights: str = "") -> str:
    if methods == 1:
        return "rank: none, since there is no second method"
    return (
        f"rank: mean over families{weights} of the mean rank in each, and its 95 % interval over "
        f"subjects ({RESAMPLES} resamples); a task without a number counts as the last rank"
    )


def _scale(measure: Measure) -> str:
    return "share of the floor's error removed" if measure.unit == "dB" else "linear"


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


def _versions_of_code(data: Board | Standings) -> Iterator[str]:
    """Name the methods whose numbers are of several versions of their code.

    So it is while a run with new code has not ended, and after a run of some tasks only.
    """
    columns = data.columns.values() if isinstance(data, Board) else data.columns
    tasks: dict[str, dict[frozenset[str], list[str]]] = {}
    for column in columns:
        for label, score in column.scores.items():
            if score.codes:
                tasks.setdefault(label, {}).setdefault(score.codes, []).append(column.task)
    for label, by_codes in tasks.items():
        codes = frozenset[str]().union(*by_codes)
        if len(codes) > 1:
            texts = " | ".join(map(_named, by_codes.values()))
            yield (
                f"{label}: numbers of {count(len(codes), 'version')} of its code ({texts}); run it "
                "again on all tasks before you compare them"
            )


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


def _without_vote(board: Board) -> Iterator[str]:
    tasks = [task for task, column in board.columns.items() if not column.votes]
    if tasks and board.measure.ranks:
        yield f"{', '.join(tasks)}: shown only, without a vote in the ranking"


def _missing(board: Board) -> Iterator[str]:
    for row in board.rows:
        absent = [task for task in board.tasks if task not in row.scores]
        reasons: dict[tuple[str, str], list[str]] = {}
        for task, score in row.scores.items():
            if not score.counts:
                status = "no number" if score.status == "done" else score.status
                reasons.setdefault((status, score.reason), []).append(task)
        if absent:
            reasons["not run", ""] = absent
        if reasons:
            yield f"{row.label} has {_number_of_tasks(row, board)}"
        for (status, reason), tasks in reasons.items():
            status = f"{status}, shown and not ranked" if status == "partial" else status
            why = f": {reason}" if reason else ""
            yield f"{row.label} on {', '.join(tasks)}: {status}{why}"


def _number_of_tasks(row: Row, board: Board) -> str:
    return f"{row.n_scored} of {count(len(board.tasks), 'task')}"
