"""The paragraph on methods of a paper, generated from what was run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import version

from harmbench.leaderboard.bibliography import HARMBENCH, LETTERS, MAX_T, Bibliography
from harmbench.leaderboard.families import Comparison
from harmbench.leaderboard.formatting import count
from harmbench.leaderboard.groups import Group
from harmbench.leaderboard.latex import escaped
from harmbench.statistics.max_t import LEVEL

# What the registered methods, tasks and metrics declare, by name.
Declared = Mapping[str, Mapping[str, str]]


def methods_paragraph(
    group: Group, *, methods: Declared, tasks: Declared, metrics: Declared
) -> tuple[str, str]:
    """Describe in LaTeX what was run and how it was compared.

    Parameters
    ----------
    group
        The boards of a cohort.
    methods, tasks, metrics
        What the registered ones declare, by name, with their `"reference"`.

    Returns
    -------
    tuple
        The paragraph, and the BibTeX entries that it cites.
    """
    cited = Bibliography()
    sentences = [
        _methods(group, methods, cited),
        _data(group),
        _tasks(group, tasks, metrics, cited),
        _statistics(group, cited),
    ]
    return "\n".join(sentence for sentence in sentences if sentence) + "\n", cited.bibtex()


def _methods(group: Group, methods: Declared, cited: Bibliography) -> str:
    rows = {row.label: row for board in group.boards for row in board.rows}
    compared = [row for row in rows.values() if not row.control]
    names = [
        escaped(row.label)
        + cited.cite(
            [
                methods.get(row.method, {}).get("reference", "")
                or row.submission.get("reference", "")
            ]
        )
        for row in compared
    ]
    controls = [escaped(row.label) for row in rows.values() if row.control]
    beside = f", beside the controls {_list(controls)}" if controls else ""
    harness = f"harmbench {escaped(version('harmbench'))}{cited.cite([HARMBENCH])}"
    return (
        f"We compared {count(len(compared), 'harmonisation method')} with {harness}: "
        f"{_list(names)}{beside}."
    )


def _data(group: Group) -> str:
    board = group.first
    subjects = max(
        (score.n for b in group.boards for row in b.rows for score in row.scores.values()),
        default=0,
    )
    seeds = group.runs.loc[group.runs["status"] == "done", "seed"].nunique()
    normalized = f", normalised by {board.normalization}" if board.normalization else ""
    fits = f"; methods were fitted on {board.fit_cohort}" if board.fit_cohort else ""
    return (
        f"The scans are those of the cohort {escaped(board.cohort)} "
        f"({escaped(group.words)}; key {escaped(board.cohort_key[:8])}{escaped(normalized)}; "
        f"preset {escaped(board.preset)}{escaped(board.split_note)}{escaped(fits)}), with "
        f"{count(subjects, 'test subject')} and {count(seeds, 'seed')}."
    )


def _tasks(group: Group, tasks: Declared, metrics: Declared, cited: Bibliography) -> str:
    if group.standings is None:
        names = [escaped(task.name) for task in group.tasks]
        return f"The tasks are {_list(names)}." if names else ""
    families: dict[str, list[str]] = {}
    measured: dict[str, None] = {}
    for column in group.standings.columns:
        reference = tasks.get(column.task, {}).get("reference", "")
        families.setdefault(column.family, []).append(
            escaped(column.task) + cited.cite([reference])
        )
        measured[column.measure.name] = None
    texts = "; ".join(f"{escaped(name)}: {_list(named)}" for name, named in families.items())
    scores = [
        escaped(name) + cited.cite([metrics.get(name, {}).get("reference", "")])
        for name in measured
    ]
    return (
        f"The tasks measure {_list([escaped(name) for name in families])} ({texts}). They were "
        f"scored by {_list(scores)}."
    )


def _statistics(group: Group, cited: Bibliography) -> str:
    sentence = "Values are means over subjects with 95\\,\\% intervals."
    comparison = None if group.standings is None else group.standings.comparison
    if comparison is None or not _tested(comparison):
        return sentence
    weights = group.standings.weights if group.standings is not None else {}
    votes = (
        "each family of tasks has one vote"
        if all(weight == 1 for weight in weights.values())
        else "families vote with the weights "
        + _list([f"{escaped(name)} {weight:g}" for name, weight in weights.items()])
    )
    return (
        f"{sentence} Methods were compared by sign-flip permutation tests of paired differences, "
        f"adjusted over all pairs of methods and families of tasks by the step-down max-T method"
        f"{cited.cite([MAX_T])} at a family-wise level of {100 * LEVEL:.0f}\\,\\% "
        f"({count(comparison.n, 'subject')}); letters mark methods that do not differ "
        f"significantly{cited.cite([LETTERS])}. In the ranking by mean rank, {votes}."
    )


def _tested(comparison: Comparison) -> bool:
    return any(len(family.labels) > 1 for family in comparison.families)


def _list(names: Sequence[str]) -> str:
    """Join names, the last with "and"."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
