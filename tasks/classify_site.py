"""Scanner classification: classifiers that separate harmonised scans from target scans."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import pandas as pd

from harmbench import (
    Cohort,
    Estimate,
    Family,
    Scans,
    Scorer,
    ScoringContext,
    SkipCell,
    Task,
    TaskData,
    ValueRange,
    bootstrap_draws,
    bootstrap_statistic,
    derive,
    estimates,
)

from .domains import choose
from .harm import rmse
from .site_classifier import PRESETS, SOURCE, TARGET, ClassifierConfig, Example, Stacks, probe
from .site_features import (
    balanced_accuracy,
    linear_correct,
    permutation_null,
    scanner_features,
)
from .unharmonized import unharmonized_estimates

UNCHANGED_DB = 60.0  # bounds the PSNR of a scan to its own source, which may be equal
_ACCURACIES = ("site_accuracy", "site_accuracy_linear")
_SEED = "site_accuracy_seed"

Array = npt.NDArray[np.float64]


def balanced(subjects: Array) -> Array:
    """Average each side over its subjects, and then both sides.

    Parameters
    ----------
    subjects
        `(..., n, 2)`: accuracy of each subject's source and target scans, NaN where there is none.

    Returns
    -------
    Array
        `(...)`; NaN where a side has no subject.
    """
    present = ~np.isnan(subjects)
    with np.errstate(invalid="ignore"):
        sides = np.where(present, subjects, 0.0).sum(axis=-2) / present.sum(axis=-2)
    mean: Array = sides.mean(axis=-1)
    return mean


class SiteScorer(Scorer):
    """Keeps slices of the harmonised scans, and in the end trains classifiers on them.

    Parameters
    ----------
    context
        What the cell is scored with.
    """

    def __init__(self, context: ScoringContext) -> None:
        data = context.data
        self._context = context
        self._examples: list[Example] = []
        self._features: list[Array] = []
        self._fidelity: list[float] = []
        self._stacks = {
            SOURCE: Stacks(len(data.test), data.test.grid.shape),
            TARGET: Stacks(len(data.extra["target"]), data.test.grid.shape),
        }
        for batch in data.extra["target"].batches():
            self._keep(batch, TARGET)

    def _keep(self, scans: Scans, side: int) -> None:
        before = sum(example.side == side for example in self._examples)
        self._stacks[side].add(scans.images)
        self._features.append(scanner_features(scans))
        self._examples += [
            Example(subject, session, side, before + i)
            for i, (subject, session) in enumerate(zip(scans.subjects, scans.sessions, strict=True))
        ]

    def add(self, source: Scans, harmonized: Scans, references: Scans | None) -> None:
        """Keep a batch."""
        self._keep(harmonized, SOURCE)
        change = rmse(harmonized.images, source.images, harmonized.masks)
        self._fidelity += (-20 * np.log10(np.maximum(change, 10 ** (-UNCHANGED_DB / 20)))).tolist()

    def table(self) -> pd.DataFrame:
        """Return the share of each scan's slices that were classified correctly, by probe.

        The probability of the linear probe is one number, and comes with every scan.
        """
        context = self._context
        config = PRESETS.get(context.preset, ClassifierConfig())
        probed = [
            probe(
                self._examples,
                self._stacks,
                seed=context.seed if number == 0 else derive(context.seed, "site probe", number),
                config=config,
                device=context.device,
            )
            for number in range(config.seeds)
        ]
        by_seed = np.array([each.shares for each in probed])
        features, sides = np.concatenate(self._features), [e.side for e in self._examples]
        linear = linear_correct(features, self._examples, sides, config)
        accuracy = balanced_accuracy(linear, sides)
        null = permutation_null(features, self._examples, context.seed, config)
        converged = [each for one in probed for each in one.converged]
        columns = {
            "site_accuracy": by_seed.mean(axis=0),
            **{f"{_SEED}{number}": shares for number, shares in enumerate(by_seed)},
            "site_accuracy_linear": linear,
            "site_linear_p": np.full(len(linear), (1 + (null >= accuracy).sum()) / (1 + len(null))),
            "site_linear_null_low": np.full(len(linear), np.quantile(null, 0.025)),
            "site_linear_null_high": np.full(len(linear), np.quantile(null, 0.975)),
            "site_converged": np.full(len(linear), np.mean(converged) if converged else np.nan),
        }
        names = {SOURCE: "source", TARGET: "target"}
        frame = pd.DataFrame(
            {
                "subject": [example.subject for example in self._examples],
                "scan": [f"{names[e.side]}/{e.session}" for e in self._examples],
                "slice": -1,
            }
        )
        tables = [frame.assign(metric=name, value=values) for name, values in columns.items()]
        harmonized = frame[[example.side == SOURCE for example in self._examples]]
        tables.append(harmonized.assign(metric="source_psnr", value=self._fidelity))
        return pd.concat(tables, ignore_index=True)

    def estimates(self, scores: pd.DataFrame) -> dict[str, Estimate]:
        """Return balanced accuracies, the mean of both sides whatever their numbers of scans.

        The range over the seeds of the classifier, the probability and the fidelity are means.
        """
        numbers = {
            name: bootstrap_statistic(_by_side(scores, name), balanced) for name in _ACCURACIES
        }
        plain = (
            "site_linear_p",
            "site_linear_null_low",
            "site_linear_null_high",
            "site_converged",
            "source_psnr",
        )
        numbers |= estimates(scores[scores["metric"].isin(plain)])
        seeds = sorted({name for name in scores["metric"] if name.startswith(_SEED)})
        values = [float(balanced(_by_side(scores, name))) for name in seeds]
        n = numbers["site_accuracy"].n
        for name, value in (
            ("site_accuracy_low", min(values)),
            ("site_accuracy_high", max(values)),
        ):
            numbers[name] = Estimate(value, value, value, n)
        return numbers

    def draws(self, scores: pd.DataFrame) -> dict[str, Array]:
        """Return bootstrap draws of the accuracies, for paired comparisons of methods."""
        return {name: bootstrap_draws(_by_side(scores, name), balanced) for name in _ACCURACIES}


def _by_side(scores: pd.DataFrame, metric: str) -> Array:
    """Return an accuracy of each subject's source and target scans: `(n, 2)`."""
    scores = scores[scores["metric"] == metric]
    side = scores["scan"].str.partition("/")[0]
    subjects = scores.groupby(["subject", side])["value"].mean().unstack()
    return subjects.reindex(columns=["source", "target"]).to_numpy(dtype=np.float64)


class ClassifySite(Task):
    """Tell harmonised source scans from scans of the target, of subjects not trained on.

    Fresh classifiers are trained on each method's own output until they converge, from several
    seeds, cross-validated by subject. Their mean
    balanced accuracy over slices is 0.5 where no difference between the scanners is left that it
    could detect. Rescans of the target's own scanner may reach more than 0.5, so the accuracy is
    compared with that of the control `rescan`, and ranks nothing. Where the subjects of the two
    scanners differ, it may also distinguish the subjects, so the accuracy is then an upper bound
    of the remaining difference between the scanners. Beside it are the range over the seeds, a
    linear probe of histogram and texture with the probability of its accuracy if the scanner made
    no difference, and the PSNR of each scan to its own source.

    Parameters
    ----------
    source
        Name of the source domain.
    """

    summary = "tell harmonised scans from the target's by a classifier trained on them"
    family = Family.SCANNERS
    version = "3"
    measures: ClassVar[Mapping[str, bool]] = {
        "site_accuracy": False,
        "site_accuracy_low": False,
        "site_accuracy_high": False,
        "site_accuracy_linear": False,
        "site_linear_p": True,
        "site_linear_null_low": False,
        "site_linear_null_high": False,
        "site_converged": True,
        "source_psnr": True,
    }
    ranges: ClassVar[Mapping[str, ValueRange]] = {
        name: ValueRange(0.0, 1.0) for name in measures if name != "source_psnr"
    }
    uses_metrics = False
    diagnostics: ClassVar[Sequence[str]] = tuple(measures)
    headline = ()

    def __init__(self, source: str) -> None:
        self.source = source
        self.name = f"classify-site-{source}"

    def setup(self, cohort: Cohort, seed: int) -> TaskData:
        """Choose test scans of either scanner; nothing is random.

        Raises
        ------
        SkipCell
            If either side has fewer than two subjects to test on.
        """
        data = choose(cohort, self.source)
        target = cohort.scans(cohort.target, "test")
        if data.references is not None:
            target = data.references
        for scans in (data.test, target):
            subjects = set(scans.subjects)
            if len(subjects) < 2:
                raise SkipCell(
                    f"'{scans.domain}' has {len(subjects)} test subjects; "
                    "cross-validation needs at least two"
                )
        return replace(data, extra={"target": target})

    def scorer(self, context: ScoringContext) -> Scorer:
        """Return a scorer that trains classifiers when all scans were taken."""
        return SiteScorer(context)

    def bounds(self, context: ScoringContext) -> Mapping[str, Mapping[str, Estimate]]:
        """Return the accuracy on the source as it is, and chance."""
        numbers = unharmonized_estimates(SiteScorer(context), context.data.test)
        n = numbers["site_accuracy"].n
        return {
            "source as it is": numbers,
            "chance": {"site_accuracy": Estimate(0.5, 0.5, 0.5, n)},
        }
