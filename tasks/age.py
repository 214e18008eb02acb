"""Age that is predicted from harmonised scans by a model of the target."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt
import pandas as pd

from harmbench import (
    Cohort,
    Estimate,
    Family,
    Instrument,
    Scans,
    ScanSet,
    Scorer,
    ScoringContext,
    SkipCell,
    Task,
    TaskData,
    ValueRange,
    bootstrap_draws,
    bootstrap_statistic,
    estimates,
)

from .domains import choose
from .repeats import matched
from .segmentation import labelled_target
from .tissue_features import (
    TISSUE_SEGMENTER,
    features,
    features_of_all,
    tissue_segmenter,
)
from .tissue_instrument import TissueInstrument
from .tissue_segmenter import TissueSegmenter
from .unharmonized import unharmonized_estimates

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

AGE = "age"
FEWEST_TARGET, FEWEST_TEST = 6, 2  # subjects
PENALTIES = np.logspace(-2, 3, 11)

Array = npt.NDArray[np.float64]


def ages(scans: ScanSet) -> Array:
    """Return the age of each scan in years: `(N,)`."""
    table = scans.with_covariates((AGE,)).covariates
    assert table is not None
    return table[AGE].to_numpy(dtype=np.float64)


def r_squared(subjects: Array) -> Array:
    """Return 1 minus the squared errors over the variance: `(..., n, 2)` of age and prediction."""
    true, predicted = subjects[..., 0], subjects[..., 1]
    rest = ((true - predicted) ** 2).sum(axis=-1)
    total = ((true - true.mean(axis=-1, keepdims=True)) ** 2).sum(axis=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio: Array = np.where(total > 0, 1 - rest / total, np.nan)
    return ratio


def slope(subjects: Array) -> Array:
    """Return the slope of the predicted on the true age: `(..., n, 2)` to `(...)`."""
    centred = subjects - subjects.mean(axis=-2, keepdims=True)
    true, predicted = centred[..., 0], centred[..., 1]
    total = (true**2).sum(axis=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio: Array = np.where(total > 0, (true * predicted).sum(axis=-1) / total, np.nan)
    return ratio


class AgeModel:
    """Ridge regression of age on tissue volumes and intensities of target scans.

    A subject's age is predicted by a model of all other subjects. The penalty is chosen by the
    closed-form leave-one-out error.

    Parameters
    ----------
    segmenter
        The instrument.
    target
        Scans of the target scanner with ages.
    """

    def __init__(self, segmenter: TissueInstrument, target: ScanSet) -> None:
        self.segmenter = segmenter
        self._subjects = np.array(target.subjects)
        self._features = features_of_all(segmenter, target)
        self._ages = ages(target)
        self._models: dict[str, Pipeline] = {}

    def predict(self, subjects: Sequence[str], measured: Array) -> Array:
        """Return the ages of subjects with these features, `(N, 8)`, by models without them."""
        predicted = [
            float(self._without(subject).predict(row[None])[0])
            for subject, row in zip(subjects, measured, strict=True)
        ]
        return np.array(predicted)

    def cross_validated(self) -> Array:
        """Return the predicted age of each target scan, by models without its subject."""
        return self.predict([*self._subjects], self._features)

    def _without(self, subject: str) -> Any:
        from sklearn.linear_model import RidgeCV
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        if subject not in self._models:
            others = self._subjects != subject
            model = make_pipeline(StandardScaler(), RidgeCV(alphas=PENALTIES))
            self._models[subject] = model.fit(self._features[others], self._ages[others])
        return self._models[subject]


class AgeScorer(Scorer):
    """Predicts the age of harmonised scans.

    Parameters
    ----------
    model
        Of the target.
    data
        What the cell is scored on.
    """

    def __init__(self, model: AgeModel, data: TaskData) -> None:
        self._model = model
        self._grid = data.test.grid
        self._ages = ages(data.extra["test"])
        self._slope = target_slope(model, data)
        self._rows: list[tuple[str, str, float]] = []

    def add(self, source: Scans, harmonized: Scans, references: Scans | None) -> None:
        """Predict the ages of a batch."""
        predicted = self._model.predict(
            harmonized.subjects, features(self._model.segmenter, harmonized, self._grid)
        )
        self._rows += zip(harmonized.subjects, harmonized.sessions, predicted, strict=True)

    def table(self) -> pd.DataFrame:
        """Return the signed and the absolute errors in years; no ages, which are private."""
        subjects, sessions, predicted = (list(column) for column in zip(*self._rows, strict=True))
        errors = np.array(predicted) - self._ages
        columns = {"age_bias": errors, "age_error": np.abs(errors)}
        return pd.concat(
            [
                pd.DataFrame(
                    {"subject": subjects, "scan": sessions, "slice": -1, "metric": name, "value": v}
                )
                for name, v in columns.items()
            ],
            ignore_index=True,
        )

    def estimates(self, scores: pd.DataFrame) -> dict[str, Estimate]:
        """Return mean error and bias, and R2 and effect of all subjects together."""
        pairs, numbers = self._pairs(scores), estimates(scores)
        for name, statistic in self._statistics().items():
            numbers[name] = bootstrap_statistic(pairs, statistic)
        return numbers

    def draws(self, scores: pd.DataFrame) -> dict[str, Array]:
        """Return bootstrap draws of R2 and effect, for paired comparisons of methods."""
        pairs = self._pairs(scores)
        return {name: bootstrap_draws(pairs, f) for name, f in self._statistics().items()}

    def _statistics(self) -> Mapping[str, Any]:
        return {"age_r2": r_squared, "age_effect": lambda pairs: slope(pairs) / self._slope}

    def _pairs(self, scores: pd.DataFrame) -> Array:
        """Return true and predicted age of each subject in order of name: `(n, 2)`."""
        subjects = [subject for subject, _, _ in self._rows]
        true = pd.Series(self._ages, index=subjects).groupby(level=0).mean()
        bias = scores[scores["metric"] == "age_bias"].groupby("subject")["value"].mean()
        true = true[bias.index]
        return np.stack([true.to_numpy(), (true + bias).to_numpy()], axis=1)


def target_slope(model: AgeModel, data: TaskData) -> float:
    """Return the slope of predicted on true age of target scans, cross-validated.

    Of the test subjects' scans, if they were scanned on the target, else of all.
    """
    target = data.extra["target"]
    pairs = np.stack([ages(target), model.cross_validated()], axis=1)
    tested = np.isin(target.subjects, data.test.subjects)
    if tested.sum() > 2:
        pairs = pairs[tested]
    return float(slope(pairs))


class Age(Task):
    """Predict the age of subjects from their harmonised scans.

    A ridge regression on tissue volumes and intensities learns age from target scans,
    cross-validated by subject; the tissues are found by a network of the target. The reference
    is the same prediction on target scans.

    Parameters
    ----------
    source
        Name of the source domain.
    """

    summary = "predict age from harmonised scans by a model of the target"
    family = Family.BIOLOGY
    instruments: ClassVar[Mapping[str, type[Instrument]]] = {TISSUE_SEGMENTER: TissueSegmenter}
    measures: ClassVar[Mapping[str, bool]] = {
        "age_error": False,
        "age_r2": True,
        "age_effect": True,
        "age_bias": True,
    }
    ranges: ClassVar[Mapping[str, ValueRange]] = {
        "age_error": ValueRange(low=0.0),
        "age_r2": ValueRange(high=1.0),
    }
    diagnostics: ClassVar[Sequence[str]] = ("age_effect", "age_bias")
    uses_metrics = False
    headline = ("age_error", "age_r2")
    group = "age"
    expected_failures: ClassVar[Mapping[str, str]] = {
        "order": "the ages of the tiny cohort are independent of its images"
    }

    def __init__(self, source: str) -> None:
        self.source = source
        self.name = f"age-{source}"

    def setup(self, cohort: Cohort, seed: int) -> TaskData:
        """Choose the scans with ages; nothing is random.

        Raises
        ------
        SkipCell
            If too few subjects have an age, if the ages of the two scanners hardly overlap, or if
            the target has no labels to learn from.
        """
        labelled = labelled_target(cohort)
        data = choose(cohort, self.source)
        target = cohort.scans(cohort.target).complete((AGE,))
        keep = [n for n in range(len(data.test)) if n not in _without_age(data.test)]
        numbers = {
            f"test subjects of '{self.source}'": (
                len(set(data.test.subset(keep).subjects)),
                FEWEST_TEST,
            ),
            f"subjects of the target '{cohort.target}'": (
                len(set(target.subjects)),
                FEWEST_TARGET + 1,
            ),
        }
        for title, (count, fewest) in numbers.items():
            if count < fewest:
                raise SkipCell(f"{count} {title} have an age, and {fewest} are needed")
        chosen = data.of_test_scans(keep)
        extra = {
            "target": target.with_covariates((AGE,)),
            "test": chosen.test.with_covariates((AGE,)),
        }
        # The second of each end: one subject alone is no range.
        by_age = np.sort(list(dict(zip(target.subjects, ages(target), strict=True)).values()))
        tested = ages(extra["test"])
        within = int(((by_age[1] <= tested) & (tested <= by_age[-2])).sum())
        if 2 * within < len(tested):
            raise SkipCell(
                f"{within} of {len(tested)} test scans of '{self.source}' have an age within the "
                f"range of the target '{cohort.target}': for the others its model would extrapolate"
            )
        return replace(chosen, labelled=labelled, extra=extra)

    def scorer(self, context: ScoringContext) -> Scorer:
        """Return a scorer that predicts ages."""
        return AgeScorer(_model(context), context.data)

    def bounds(self, context: ScoringContext) -> Mapping[str, Mapping[str, Estimate]]:
        """Return the scores of the source as it is, and of target scans."""
        data = context.data
        sets = {"source as it is": data.test}
        first, target = matched(data.test, data.extra["target"])
        if len(first) == len(set(data.test.subjects)):
            sets["target scans of the same subjects"] = target
        else:
            sets["target scans of other subjects"] = data.extra["target"]
        model, bounds = _model(context), {}
        for title, scans in sets.items():
            tested = replace(data, test=scans, extra={**data.extra, "test": _aged(scans)})
            bounds[title] = unharmonized_estimates(AgeScorer(model, tested), scans)
        return bounds


def _model(context: ScoringContext) -> AgeModel:
    segmenter = tissue_segmenter(context.instruments[TISSUE_SEGMENTER])
    return AgeModel(segmenter, context.data.extra["target"])


def _aged(scans: ScanSet) -> ScanSet:
    return scans.with_covariates((AGE,))


def _without_age(scans: ScanSet) -> set[int]:
    return set(scans.lacking((AGE,)).get(AGE, []))
