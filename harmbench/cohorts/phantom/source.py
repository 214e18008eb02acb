"""The phantom cohort: many subjects, each scanned on the five scanners of Table 1.

Subjects that are deformed from the MNI152 atlas (`harmbench.cohorts.phantom.anatomy`) are rendered
as each of the scanners sees them (`harmbench.cohorts.phantom.render`). All scans of a subject lie
in one space, so the cohort has exact pairs and true tissue labels. Each subject is scanned on the
target's scanner a second time, and the first session is also rendered without noise.
It is a phantom, and is called one wherever a number from it is shown.

What it leaves out: vessels, ghosts and ringing, distortion and errors of registration.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from torch import Tensor

from harmbench.cohorts.phantom.scanner import SCANNERS
from harmbench.cohorts.phantom.scanning import (
    NOISE_FREE,
    REPEAT,
    scan_subject,
    session_of,
    t2_weighted,
)
from harmbench.cohorts.phantom.streams import (
    SEED,
    is_test,
    name_test_subject,
    name_training_subject,
    subject_generator,
)
from harmbench.cohorts.phantom.subject import AGES, COVARIATES, draw_age
from harmbench.cohorts.phantom.template import TissueTemplate, load_template, template_key
from harmbench.data.cohort_source import CohortSource
from harmbench.data.cohort_writer import CohortWriter, ScanRecord, write_row
from harmbench.data.scans import Grid
from harmbench.errors import UserError
from harmbench.preprocessing.normalization import NORMALIZATIONS, normalization
from harmbench.preprocessing.normalization.base import Standard
from harmbench.preprocessing.normalize_rows import normalize_rows
from harmbench.util.hashing import digest
from harmbench.util.processes import in_processes
from harmbench.util.progress import Progress

# Raise it with any change that alters a voxel: prepared cohorts are kept under its hash.
VERSION = "4"

_SUBJECTS, _FEWEST, _MOST = 40, 4, 10_000
_CONFOUNDED = "confounded"
_NO_FOLDS = "only its training subjects are confounded, and folds would mix them with the others"
_VALIDATION = 5  # of the subjects that are not for testing, one in five
_SUBJECTS_PER_WORKER = 3  # fewer do not pay for starting a process
_AGE_SCATTER = 8.0  # years: how far age and scanner of a confounded cohort are mixed


def split_of(subject: str) -> str:
    """Return the split of a subject, which depends on its name alone."""
    if is_test(subject):
        return "test"
    # The third of five, so that a cohort of six subjects has one.
    return "validation" if int(subject[1:]) % _VALIDATION == 3 else "train"


class Phantom(CohortSource):
    """The embedded cohort.

    The argument is the number of subjects, 40 by default, of whom half are for testing.
    `N-confounded` scans each training and validation subject either on the target's scanner
    or on all others, older subjects on the target's.
    """

    normalizations = tuple(NORMALIZATIONS)
    name: ClassVar[str] = "phantom"
    summary: ClassVar[str] = (
        "MNI152 anatomy deformed into N subjects (phantom:N), each on Table 1's five scanners"
    )

    def __init__(
        self, argument: str | None = None, recipe: Path | None = None, **preparation: Any
    ) -> None:
        super().__init__(argument, recipe, **preparation)
        if recipe is not None:
            raise UserError(
                f"the phantom takes no recipe, but '{recipe}' was given; leave out --recipe"
            )
        text = str(_SUBJECTS) if argument is None else argument
        number_text, dash, option = text.partition("-")
        self.confounded = option == _CONFOUNDED
        plain = number_text.isascii() and number_text.isdigit() and len(number_text) < 10
        number = int(number_text) if plain else 0
        if not _FEWEST <= number <= _MOST or bool(dash) != self.confounded:
            raise UserError(
                f"phantom:{text} is no number of subjects; give a whole number from "
                f"{_FEWEST} to {_MOST}, as in phantom:40 or phantom:40-{_CONFOUNDED}"
            )
        self.target = "target"
        self.sources = tuple(domain for domain in SCANNERS if domain != self.target)
        n_test = number // 2
        self.subjects = (
            *(name_training_subject(i) for i in range(1, number - n_test + 1)),
            *(name_test_subject(i) for i in range(1, n_test + 1)),
        )
        if self.confounded:
            self._refuse_one_sided(text)

    @property
    def title(self) -> str:
        """`phantom`, with the number of subjects if it is not the usual one, and the option."""
        number = len(self.subjects)
        if self.confounded:
            return f"{self.name}:{number}-{_CONFOUNDED}"
        return self.name if number == _SUBJECTS else f"{self.name}:{number}"

    def key(self, grid: Grid, home: Path) -> str:
        """Hash the version, the anatomy files, the subjects, the grid and the scanners."""
        chosen = normalization(self.normalization).key(())
        return digest(
            *("phantom", VERSION, SEED, template_key(), self.subjects, self.confounded),
            *(grid, SCANNERS, REPEAT, NOISE_FREE),
            *chosen,
        )

    def t2_weighted(self, subject: str, grid: Grid) -> Tensor | None:
        """Render one; see `t2_weighted`."""
        return t2_weighted(subject, load_template(), grid) if subject in self.subjects else None

    def domains_of(self, subject: str) -> tuple[str, ...]:
        """Return the domains that a subject has a scan in."""
        if is_test(subject) or not self.confounded:
            return (*SCANNERS, REPEAT, NOISE_FREE)
        return (self.target,) if _on_target(subject) else self.sources

    def prepare(self, grid: Grid, home: Path, writer: CohortWriter, progress: Progress) -> None:
        """Scan all subjects, in as many processes as there are processors to use."""
        subjects_of = {
            domain: [name for name in self.subjects if domain in self.domains_of(name)]
            for domain in (*SCANNERS, REPEAT, NOISE_FREE)
        }
        folders = {
            domain: writer.begin_domain(domain, len(names), labelled=True)
            for domain, names in subjects_of.items()
        }
        rows_of = [
            (
                subject,
                tuple((d, subjects_of[d].index(subject)) for d in self.domains_of(subject)),
            )
            for subject in self.subjects
        ]
        finished = in_processes(
            _scan_into,
            rows_of,
            load_template(),
            grid,
            folders,
            self.normalization,
            least=_SUBJECTS_PER_WORKER,
        )
        with contextlib.closing(finished):
            scanned = dict(progress.track(finished, "scanning the phantom", len(rows_of)))
        method = normalization(self.normalization)
        training = [
            scanned[item][1]
            for item in rows_of
            if split_of(item[0]) == "train" and self.target in dict(item[1])
        ]
        rows = [(folders[domain], row) for _, domain_rows in rows_of for domain, row in domain_rows]
        standard = normalize_rows(method, training, rows, progress)
        writer.finish(
            name=self.name,
            key=self.key(grid, home),
            kind="phantom",
            target=self.target,
            sources=self.sources,
            records=[
                self._record(subject, domain, row, grid, method.key(standard), details[domain])
                for subject, domain_rows, details in ((*item, scanned[item][0]) for item in rows_of)
                for domain, row in domain_rows
            ],
            left_out={},
            normalization=self.normalization,
            facts={
                "repeat": REPEAT,
                "noise_free": NOISE_FREE,
                **({"no_folds": _NO_FOLDS} if self.confounded else {}),
                **({"standard": list(standard)} if standard else {}),
            },
        )

    def _record(
        self,
        subject: str,
        domain: str,
        row: int,
        grid: Grid,
        normalized: tuple[str, ...],
        details: dict[str, Any],
    ) -> ScanRecord:
        scanner, session = session_of(domain)
        return ScanRecord(
            domain=domain,
            subject=subject,
            session=session,
            row=row,
            key=digest(
                *("phantom", VERSION, SEED, template_key(), subject, grid, domain),
                SCANNERS[scanner],
                *normalized,
            ),
            split=split_of(subject),
            labelled=True,
            paired=len(self.domains_of(subject)) >= len(SCANNERS),
            age=details["subject"]["age"],
            covariates={name: details["subject"][name] for name in COVARIATES},
            details=details,
        )

    def _refuse_one_sided(self, text: str) -> None:
        """Refuse a confounded cohort in which a domain has fewer than two training subjects."""
        training = [name for name in self.subjects if split_of(name) == "train"]
        on_target = sum(_on_target(name) for name in training)
        if min(on_target, len(training) - on_target) < 2:
            raise UserError(
                f"phantom:{text} has {on_target} of {len(training)} training subjects on the "
                "target's scanner, and each scanner needs two; give a larger number"
            )


def _on_target(subject: str) -> bool:
    """Return whether a confounded cohort scans a subject on the target: the older half."""
    scatter = _AGE_SCATTER * float(subject_generator(subject, "confounding").standard_normal())
    return draw_age(subject) + scatter > float(np.mean(AGES))


def _scan_into(
    rows_of: tuple[str, tuple[tuple[str, int], ...]],
    template: TissueTemplate,
    grid: Grid,
    folders: Mapping[str, Path],
    name: str,
) -> tuple[dict[str, dict[str, Any]], Standard]:
    """Scan a subject into its row of each domain.

    Returns
    -------
    details, landmarks
        What was drawn, by domain; and of the target's scan, if there is one, what a
        normalisation that learns is to learn from.
    """
    subject, domain_rows = rows_of
    method = normalization(name)
    scans = scan_subject(
        subject, template, grid, method.first_pass, [domain for domain, _ in domain_rows]
    )
    try:
        for domain, row in domain_rows:
            write_row(folders[domain], "images", row, scans.images[domain].numpy())
            write_row(folders[domain], "masks", row, scans.masks[domain].numpy())
            write_row(folders[domain], "labels", row, scans.labels.numpy())
    except OSError as error:
        raise UserError(f"the phantom cannot be stored: {error}") from error
    if "target" not in scans.images:
        return scans.details, ()
    landmarks = method.landmarks(scans.images["target"].numpy(), scans.masks["target"].numpy())
    return scans.details, landmarks
