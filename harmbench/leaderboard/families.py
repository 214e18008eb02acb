"""Comparison of methods within families of tasks: differences, tests and letters."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from harmbench.contracts.family import Family
from harmbench.leaderboard.measure import RELEVANT_DECIBELS
from harmbench.leaderboard.scores import TaskColumn
from harmbench.statistics.equivalence import equivalent
from harmbench.statistics.estimate import Array, Estimate, mean_intervals
from harmbench.statistics.hypothesis import mean_of_means, nan_mean
from harmbench.statistics.letters import compact_letters
from harmbench.statistics.max_t import PairTests, max_t
from harmbench.statistics.power import subjects_needed

# A relevant difference of a metric without a margin of its own, in standard deviations of the
# floor between subjects.
RELEVANT_STANDARD = 0.5


@dataclass(frozen=True, kw_only=True)
class FamilyComparison:
    """Methods compared on the tasks of one family.

    Differences are standardised: in each task they are divided by the floor's standard deviation
    between subjects, and signed so that higher is better.

    Attributes
    ----------
    family
        Name of the family.
    columns
        The columns that count, one per task.
    labels
        The k methods that are compared: those with values by subject in every column.
    incomplete
        Ranked methods that are not compared, since they lack a column.
    letters
        By label: methods that share a letter do not differ significantly. Empty for one method.
    gain, standard_gain
        By label: mean difference to the floor, in the metric's unit if all columns have the same
        metric, and standardised. Empty without a floor.
    difference, p, low, high, n
        `(k, k)`: mean standardised difference of the row's method minus the column's, adjusted
        p-value, simultaneous 95 % interval and number of common subjects.
    standard_deviation
        `(k, k)`: of the paired differences between subjects.
    relevant, relevant_words
        A relevant standardised difference, and in words: the stated margin, 0.5 dB, or half the
        floor's standard deviation.
    equivalent
        `(k, k)` bool: pairs that are equivalent within the stated margin; None without a margin.
    """

    family: str
    columns: tuple[TaskColumn, ...] = field(repr=False)
    labels: tuple[str, ...]
    incomplete: tuple[str, ...]
    letters: Mapping[str, str]
    gain: Mapping[str, Estimate]
    standard_gain: Mapping[str, Estimate]
    difference: Array
    p: Array
    low: Array
    high: Array
    n: Array
    standard_deviation: Array
    relevant: float
    relevant_words: str
    equivalent: Array | None

    @property
    def tasks(self) -> tuple[str, ...]:
        """Names of the tasks."""
        return tuple(column.task for column in self.columns)

    @property
    def separated(self) -> bool:
        """Whether any two methods differ significantly."""
        return len({frozenset(text) for text in self.letters.values()}) > 1

    def is_best(self, label: str) -> bool:
        """Return whether a method has the first letter, and another method has not."""
        return self.separated and "a" in self.letters.get(label, "")


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Methods compared in all families; the tests are adjusted over pairs and families.

    Attributes
    ----------
    families
        The families with ranked methods.
    critical
        Smallest |t| that is significant; NaN if nothing was tested.
    smallest_p
        Smallest p-value that the number of subjects allows.
    n
        Largest number of common subjects.
    """

    families: tuple[FamilyComparison, ...]
    critical: float
    smallest_p: float
    n: int

    def of_task(self, task: str) -> FamilyComparison | None:
        """Return the comparison of a family with this task alone, or None."""
        return next((family for family in self.families if family.tasks == (task,)), None)

    @property
    def several(self) -> tuple[FamilyComparison, ...]:
        """The families with several tasks, which have a column of their own."""
        return tuple(family for family in self.families if len(family.columns) > 1)


def by_family(columns: Sequence[TaskColumn]) -> dict[str, dict[str, list[TaskColumn]]]:
    """Sort the columns that vote by family, in the order of `Family`, and by group."""
    columns = [column for column in columns if column.votes]
    order = [str(family) for family in Family]
    names = sorted(
        {column.family for column in columns},
        key=lambda name: (order.index(name) if name in order else len(order), name),
    )
    families: dict[str, dict[str, list[TaskColumn]]] = {name: {} for name in names}
    for column in columns:
        families[column.family].setdefault(column.group, []).append(column)
    return families


def compare_families(
    columns: Sequence[TaskColumn],
    ranked: Sequence[str],
    floor: str | None,
    margin: float | None = None,
) -> Comparison:
    """Compare ranked methods within each family, by subject.

    A subject's value in a family is the mean over groups of the mean over the group's tasks.
    Subjects without a value of one of the compared methods do not count in that task.

    Parameters
    ----------
    columns
        Columns with metrics that rank.
    ranked
        Labels to compare.
    floor
        Label of the floor, or None.
    margin
        Margin of equivalence in the metric's unit, or None.
    """
    drafts = []
    for family, groups in by_family(columns).items():
        draft = _draft(family, groups, ranked, floor)
        if draft is not None:
            drafts.append(draft)
    if not drafts:
        return Comparison(families=(), critical=math.nan, smallest_p=math.nan, n=0)
    subjects = sorted({name for draft in drafts for name in draft.names})
    values = np.full((len(subjects), len(drafts), len(ranked)), math.nan)
    for f, draft in enumerate(drafts):
        rows = [subjects.index(name) for name in draft.names]
        methods = [ranked.index(label) for label in draft.labels]
        values[np.ix_(rows, [f], methods)] = draft.standard[:, None, :]
    tests = max_t(values)
    families = tuple(
        _family(draft, tests, f, [ranked.index(label) for label in draft.labels], margin)
        for f, draft in enumerate(drafts)
    )
    return Comparison(
        families=families,
        critical=tests.critical,
        smallest_p=tests.smallest_p,
        n=tests.subjects,
    )


@dataclass(frozen=True, kw_only=True)
class _Draft:
    """Values of a family's methods by subject, before the tests."""

    family: str
    columns: tuple[TaskColumn, ...]
    names: tuple[str, ...]
    labels: tuple[str, ...]
    incomplete: tuple[str, ...]
    standard: Array  # (n, k), standardised and signed
    gain: Mapping[str, Estimate]
    standard_gain: Mapping[str, Estimate]
    unit: float  # one unit of the metric, standardised; NaN if the columns differ


def _draft(
    family: str,
    groups: Mapping[str, Sequence[TaskColumn]],
    ranked: Sequence[str],
    floor: str | None,
) -> _Draft | None:
    """Return the values of the methods that have all columns; None without any method."""
    present = {
        group: [column for column in columns if set(ranked) & set(column.compared.labels)]
        for group, columns in groups.items()
    }
    present = {group: columns for group, columns in present.items() if columns}
    columns = [column for group in present.values() for column in group]
    if not columns:
        return None
    complete = set.intersection(*(set(column.compared.labels) for column in columns))
    labels = tuple(label for label in ranked if label in complete)
    names = tuple(sorted({name for column in columns for name in column.compared.names}))
    baseline = floor if floor in complete else None
    shown = labels if baseline is None else (*labels, baseline)
    scales = {column.task: _scale(column, floor, labels) for column in columns}
    standard = mean_over_groups(present, names, shown, scales, signed=True)
    one_metric = len({column.measure.name for column in columns}) == 1

    def gains(values: Array) -> dict[str, Estimate]:
        if baseline is None:
            return {}
        return dict(zip(labels, mean_intervals(values[:, :-1] - values[:, -1:]), strict=True))

    gain: dict[str, Estimate] = {}
    if one_metric:
        unscaled = dict.fromkeys(scales, 1.0)
        gain = gains(mean_over_groups(present, names, shown, unscaled, signed=False))
    return _Draft(
        family=family,
        columns=tuple(columns),
        names=names,
        labels=labels,
        incomplete=tuple(label for label in ranked if label not in complete),
        standard=standard[:, : len(labels)],
        gain=gain,
        standard_gain=gains(standard),
        unit=float(np.mean([1 / scale for scale in scales.values()])) if one_metric else math.nan,
    )


def _scale(column: TaskColumn, floor: str | None, labels: Sequence[str]) -> float:
    """Return the standard deviation between subjects of the floor; else that of the methods.

    The floor's may be zero: `identity` does no harm to any subject.
    """
    for chosen in ((floor,), labels):
        indices = [
            column.compared.labels.index(name) for name in chosen if name in column.compared.labels
        ]
        values = column.compared.values[:, indices]
        n = (~np.isnan(values)).sum(axis=0)
        squares = np.nansum((values - nan_mean(values)) ** 2, axis=0) / np.maximum(n - 1, 1)
        scale = math.sqrt(float(squares.mean())) if squares.size else 0.0
        if scale > 0:
            return scale
    return 1.0


def mean_over_groups(
    groups: Mapping[str, Sequence[TaskColumn]],
    names: Sequence[str],
    labels: Sequence[str],
    scales: Mapping[str, float],
    *,
    signed: bool,
) -> Array:
    """Return the subjects' means over tasks, then over groups: `(n, k)`."""
    index = {name: row for row, name in enumerate(names)}

    def of_column(column: TaskColumn) -> Array:
        methods = [column.compared.labels.index(label) for label in labels]
        values = column.compared.values[:, methods] / scales[column.task]
        # A subject counts in a task for all methods or for none.
        values = np.where(np.isnan(values).any(axis=1, keepdims=True), math.nan, values)
        rows = np.full((len(names), len(labels)), math.nan)
        rows[[index[name] for name in column.compared.names]] = values
        return rows * (column.measure.sign if signed else 1.0)

    return mean_of_means([of_column(column) for column in columns] for columns in groups.values())


def _family(
    draft: _Draft, tests: PairTests, f: int, methods: Sequence[int], margin: float | None
) -> FamilyComparison:
    """Return the comparison of a draft, with its part of the tests."""
    part = np.ix_([f], methods, methods)
    significant = tests.significant()[part][0]
    means = nan_mean(draft.standard)
    order = sorted(range(len(methods)), key=lambda k: -means[k])
    texts = compact_letters(significant, order)
    # A method alone has nothing to differ from.
    letters = dict(zip(draft.labels, texts, strict=True)) if len(texts) > 1 else {}
    low, high = (bound[part][0] for bound in tests.interval)
    n = tests.n[part][0]
    relevant, words = _relevant(draft, margin)
    return FamilyComparison(
        family=draft.family,
        columns=draft.columns,
        labels=draft.labels,
        incomplete=draft.incomplete,
        letters=letters,
        gain=draft.gain,
        standard_gain=draft.standard_gain,
        difference=tests.difference[part][0],
        p=tests.p[part][0],
        low=low,
        high=high,
        n=n,
        standard_deviation=tests.standard_error[part][0] * np.sqrt(n),
        relevant=relevant,
        relevant_words=words,
        equivalent=None
        if margin is None or math.isnan(draft.unit)
        else equivalent(tests, margin * draft.unit)[part][0],
    )


def _relevant(draft: _Draft, margin: float | None) -> tuple[float, str]:
    """Return a relevant difference, standardised and in words."""
    unit = draft.columns[0].measure.unit
    if margin is None and unit == "dB":
        margin = RELEVANT_DECIBELS
    if margin is None or math.isnan(draft.unit):
        return RELEVANT_STANDARD, "half the floor's standard deviation between subjects"
    return margin * draft.unit, f"{margin:g} {unit}".strip()


def needed(comparison: Comparison, family: FamilyComparison) -> int | None:
    """Return how many subjects would resolve a relevant difference in a family.

    With 80 % power, for half of the pairs of methods; None if no pair was tested.
    """
    pairs = np.triu_indices(len(family.labels), 1)
    deviations = family.standard_deviation[pairs]
    tested = np.isfinite(deviations) & (deviations > 0)
    if not tested.any() or math.isnan(comparison.critical):
        return None
    numbers = subjects_needed(
        deviations[tested], family.relevant, comparison.critical, comparison.n
    )
    return int(np.median(numbers))
