"""All questions of a request: every task in every fold and with every seed."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from harmbench.contracts.needs import Needs
from harmbench.data.cohort import Cohort
from harmbench.data.folds import for_fold
from harmbench.data.sites import training_sites
from harmbench.data.target import with_target
from harmbench.data.tuning import for_tuning
from harmbench.execution.plan.fit_cohort import fitted_on
from harmbench.execution.plan.question import Question, ask
from harmbench.execution.plan.selection import Selection, open_cohort
from harmbench.util.progress import Progress


@dataclass(frozen=True)
class Questions:
    """The questions of a selection, on its prepared cohort.

    Attributes
    ----------
    selection
        The selection.
    cohort
        The cohort with the splits of the request; its own splits if there are folds.
    fit_cohort
        The cohort that all fits are made on; None for `cohort`.
    progress
        Receives doubts about the two.
    """

    selection: Selection
    cohort: Cohort
    fit_cohort: Cohort | None
    progress: Progress

    @classmethod
    def open(cls, selection: Selection, home: Path, progress: Progress) -> Questions:
        """Open the cohort and the fit cohort, preparing them if necessary."""
        request, grid = selection.request, selection.grid
        fits = None
        if selection.fit_source is not None and request.fit_cohort is not None:
            fits = open_cohort(selection.fit_source, request.fit_cohort, grid, home, progress)
        cohort = open_cohort(selection.source, request.cohort, grid, home, progress)
        cohort = for_tuning(cohort) if request.split == "tuning" else cohort
        return cls(selection, cohort, fits, progress)

    def __iter__(self) -> Iterator[Question]:
        """Set up every task, task by task within a seed, target and fold."""
        request = self.selection.request
        folds = range(1, request.folds + 1)
        whole = [for_fold(self.cohort, fold, request.folds) for fold in folds] or [self.cohort]
        tasks = self.selection.tasks.values()
        # Splits first, so that a subject is in one split whatever the target.
        views = {
            target: [with_target(view, target) for view in whole]
            for target in dict.fromkeys(task.target for task in tasks)
        }
        fits = self.fit_cohort
        if fits is not None:
            views = {
                target: [fitted_on(view, fits, self.progress) for view in of_target]
                for target, of_target in views.items()
            }
        variants = self.selection.variants
        on_sites = any(variant.method.needs is Needs.SITES for variant in variants)
        # Once for all tasks, which then share a fit.
        sites = {
            (view.target, view.fold): training_sites(fits or view)
            for of_target in views.values()
            for view in of_target
            if on_sites
        }
        for seed, target in itertools.product(request.seeds, views):
            of_target = [task for task in tasks if task.target == target]
            for view, task in itertools.product(views[target], of_target):
                training = sites.get((target, view.fold))
                yield ask(task, self.selection, view, seed=seed, sites=training)
